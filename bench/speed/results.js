import { labelOf } from '../peers/peers.js'
import { median, summarize } from '../lib/statistics.js'

/**
 * The summary of a work: for each peer the median and the extremes of its values, its median rate,
 * and its ratio to the reference: that of the medians, and the extremes of the rounds.
 *
 * @param runs a Map of peers to their runs, in the order of the rounds
 */
export function summarizeWork (work, runs) {
  const reference = runs.get(work.reference)
  const peers = work.peers.map((peer) => summarizePeer(peer, runs.get(peer), reference))
  const { id, title, unit, target } = work
  const ours = peers.find(({ peer }) => peer === 'ours')
  const isReached = target === null || ours === undefined ? null : ours.ratio.median <= target
  return { id, title, unit, reference: labelOf(work.reference), target, isReached, peers }
}

function summarizePeer (peer, runs, reference) {
  const values = runs.map(({ value }) => value)
  const value = summarize(values)
  const ratios = values.map((each, round) => each / reference[round].value)
  const ratio = {
    median: value.median / median(reference.map(({ value }) => value)),
    min: Math.min(...ratios),
    max: Math.max(...ratios)
  }
  const rates = runs.map(({ rate }) => rate)
  const rate = rates.includes(null) ? null : median(rates)
  return { peer, label: labelOf(peer), value, ratio, rate, values }
}
