const LISTENER_PEERS = ['tcp', 'ws', '@fastify/websocket', 'ours']
const PIPE_PEERS = [
  'tcp', 'ws-stream', 'websocket-stream', 'websocket-stream-objects', 'ours'
]
const PLUGIN_PEERS = ['ws', 'websocket-stream', '@fastify/websocket', 'ours']
const HTTP_PEERS = ['fastify', 'fastify-again', '@fastify/websocket', 'ours']

const PER_MESSAGE = 'µs of CPU per message'

/** What a run of messages has unless a work says otherwise. */
const ECHO = {
  kind: 'messages',
  protocol: 'websocket',
  handler: 'echo',
  size: 32,
  replies: 1,
  unit: PER_MESSAGE,
  peers: LISTENER_PEERS,
  reference: '@fastify/websocket'
}

/**
 * The works of the benchmark. `reference` is the peer that the others are compared with, `target`
 * the ratio to it that `ours` aims at, or null.
 */
export const works = [
  {
    ...ECHO,
    id: 'echo-16x16',
    title: 'listener echo, 16 connections × 16 in flight, 32 bytes',
    connections: 16,
    inFlight: 16,
    target: 0.2
  },
  {
    ...ECHO,
    id: 'echo-64x64',
    title: 'listener echo, 64 connections × 64 in flight, 32 bytes',
    connections: 64,
    inFlight: 64,
    target: 0.14
  },
  {
    ...ECHO,
    id: 'echo-16kb',
    title: 'listener echo, 4 connections × 4 in flight, 16 kB',
    connections: 4,
    inFlight: 4,
    size: 16 * 1024,
    target: 0.85
  },
  {
    ...ECHO,
    id: 'echo-16kb-zero-key',
    title: 'the same, with a mask of zeros: without the unmasking of ws, which is most of it',
    connections: 4,
    inFlight: 4,
    size: 16 * 1024,
    isUnmasked: true,
    target: 0.85
  },
  {
    ...ECHO,
    id: 'echo-1x1',
    title: 'listener echo, 1 connection × 1 in flight, 32 bytes',
    connections: 1,
    inFlight: 1,
    target: 1.1
  },
  {
    ...ECHO,
    id: 'replies',
    title: 'twenty replies to a message, 16 connections, 32 bytes',
    handler: 'replies',
    connections: 16,
    inFlight: 1,
    replies: 20,
    unit: 'µs of CPU per reply',
    target: 0.15
  },
  {
    ...ECHO,
    id: 'pipe',
    title: 'pipe echo, 16 connections × 16 in flight, 32 bytes',
    handler: 'pipe',
    connections: 16,
    inFlight: 16,
    peers: PIPE_PEERS,
    // By default it packs several messages into one frame, which is less work than an echo.
    reference: 'websocket-stream-objects',
    target: 0.15
  },
  {
    ...ECHO,
    id: 'idle',
    title: 'an idle connection',
    kind: 'idle',
    unit: 'bytes of heap and external memory',
    peers: PLUGIN_PEERS,
    target: 0.65
  },
  {
    ...ECHO,
    id: 'upgrade',
    title: 'upgrade of a connection',
    kind: 'upgrade',
    unit: 'µs of CPU per connection',
    peers: PLUGIN_PEERS,
    target: 1
  },
  {
    ...ECHO,
    id: 'http',
    title: 'plain HTTP request to the same app, 16 connections × 8',
    protocol: 'http',
    connections: 16,
    // Pipelined: the fewer system calls, the clearer what the plugin adds.
    inFlight: 8,
    unit: 'µs of CPU per request',
    peers: HTTP_PEERS,
    reference: 'fastify',
    target: null
  }
]
