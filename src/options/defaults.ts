/**
 * The defaults of the plugin itself. Those of a stream are in `stream/settings.ts`, that of topics
 * is in `topics/hub.ts`, and the longest message is Fastify's `bodyLimit`, in `plugin-options.ts`.
 */

/** Milliseconds of silence until a ping. */
export const DEFAULT_HEARTBEAT = 30_000

/** The level at which the end of a connection is logged. */
export const DEFAULT_CLOSE_LOG = 'debug'

/** Milliseconds that a client has to answer a close frame. */
export const DEFAULT_CLOSE_TIMEOUT = 10_000

/**
 * A quarter of ws's own default. Until a message is complete, ws keeps the buffers in which its
 * fragments arrived, in the worst case 64 KiB for each fragment.
 */
export const DEFAULT_MAX_FRAGMENTS = 4096
