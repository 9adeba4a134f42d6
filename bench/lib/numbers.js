export const MEBIBYTE = 2 ** 20

/** A number as text: all digits before the point, and three significant ones at least. */
export function formatNumber (value) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits, maximumFractionDigits: digits
  })
}

/** Bytes as a number of MiB with `digits` digits after the point. */
export function formatMebibytes (bytes, digits = 1) {
  return (bytes / MEBIBYTE).toFixed(digits)
}
