/** Seconds in the `Retry-After` header of a 503 that refuses an upgrade for a time. */
export const RETRY_AFTER = 10

/** The same for a client that comes before the application is ready, which takes moments. */
export const RETRY_AFTER_EARLY = 1
