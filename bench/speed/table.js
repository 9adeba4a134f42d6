const HEAD = ['', 'median', 'min – max', 'a second', 'ratio', 'min – max', 'target']

/** A work as a table of text. */
export function formatWork (work) {
  const rows = [HEAD, ...work.peers.map((peer) => formatPeer(work, peer))]
  const unit = `${work.unit}; ratio to ${work.reference}`
  return [work.title, unit, '', formatTable(rows)].join('\n')
}

/** Rows of cells as lines: the first column begins on the left, the others end on the right. */
export function formatTable (rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) => formatRow(row, widths)).join('\n')
}

function formatRow (row, widths) {
  const [first, ...others] = row.map((cell, i) => {
    return i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])
  })
  return `  ${[first, ...others].join('  ')}`.trimEnd()
}

function formatPeer (work, { peer, label, value, ratio, rate }) {
  return [
    label,
    formatNumber(value.median),
    `${formatNumber(value.min)} – ${formatNumber(value.max)}`,
    rate === null ? '' : formatNumber(rate),
    ratio.median.toFixed(2),
    `${ratio.min.toFixed(2)} – ${ratio.max.toFixed(2)}`,
    peer === 'ours' ? formatTarget(work) : ''
  ]
}

function formatTarget ({ target, isReached }) {
  if (target === null) return ''
  return `≤ ${target.toFixed(2)} ${isReached ? 'reached' : 'MISSED'}`
}

/** A number with three digits that count, or all of those before the point. */
export function formatNumber (value) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits, maximumFractionDigits: digits
  })
}
