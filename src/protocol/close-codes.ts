/**
 * Close codes of RFC 6455 section 7.4.1 and of the IANA registry that this library
 * sends or tells apart.
 */
export const CLOSE_NORMAL = 1000
export const CLOSE_GOING_AWAY = 1001
export const CLOSE_ABNORMAL = 1006
export const CLOSE_INTERNAL_ERROR = 1011
export const CLOSE_TRY_AGAIN_LATER = 1013
