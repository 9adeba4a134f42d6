import { formatNumber } from '../lib/numbers.js'
import { formatTable } from '../lib/table.js'

const HEAD = ['', 'median', 'min – max', 'a second', 'ratio', 'min – max', 'target']

/** The summary of a work as text: its title, its unit and a table with a row for each peer. */
export function formatWork (work) {
  const rows = [HEAD, ...work.peers.map((peer) => formatPeer(work, peer))]
  const unit = `${work.unit}; ratio to ${work.reference}`
  return [work.title, unit, '', formatTable(rows)].join('\n')
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
