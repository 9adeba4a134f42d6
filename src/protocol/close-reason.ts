/** Bytes that a close frame has for the reason: 125 for its payload, less 2 for the code. */
const MAX_REASON = 123

/** The longest beginning of a text that fits into a close frame and ends at a whole character. */
export function cutReason (text: string): string {
  const bytes = Buffer.from(text)
  let end = MAX_REASON
  if (bytes.length <= end) return bytes.toString()
  // In UTF-8, a byte of the form 10xxxxxx continues the character of the bytes before it.
  while ((Number(bytes[end]) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
