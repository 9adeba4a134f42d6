export function median (values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The median and the extremes of `values`. */
export function summarize (values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}
