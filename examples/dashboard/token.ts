// The token that opens the dashboard.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** What can stand in a URL and in the header of a handshake, and cannot be guessed. */
const USABLE = /^[\w-]{20,200}$/

/** The token that was chosen, or a new one if there is none. Throws if it is too easy to guess. */
export function chooseToken (chosen = ''): { token: string, isNew: boolean } {
  if (chosen === '') return { token: randomBytes(24).toString('base64url'), isNew: true }
  if (USABLE.test(chosen)) return { token: chosen, isNew: false }
  throw new Error('DASHBOARD_TOKEN must be 20 to 200 letters, digits, "-" or "_"')
}

/** Compares in a time that tells nothing of the token, not even its length. */
export function isEqual (given: string, token: string): boolean {
  return timingSafeEqual(hash(given), hash(token))
}

function hash (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
