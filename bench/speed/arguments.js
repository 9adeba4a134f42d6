/**
 * The command line of the speed benchmark, and the works and peers that it selects.
 *
 * `--only` and `--peers` select from the table in works.js. The reference of a work is always
 * measured, because every ratio needs it. Another build of this package is measured in every work
 * that remains.
 */

import { readCount, readOptions } from '../lib/options.js'
import { isBuild, isPeer } from '../peers/peers.js'
import { works } from './works.js'

const MIN_RUNS = 5
const QUICK_RUNS = 3

const OPTIONS = {
  only: {
    value: 'works',
    read: readWorks,
    help: `the works whose names begin so: ${works.map(({ id }) => id).join(', ')}`
  },
  peers: {
    value: 'peers',
    read: readPeers,
    help: 'these peers and the reference; the folder of another build is a peer too'
  },
  runs: {
    value: 'number',
    read: readCount,
    help: `runs of each peer (default: ${MIN_RUNS}, or ${QUICK_RUNS} with --quick)`
  },
  quick: { help: 'shorter and fewer runs: good for a look, too noisy for a figure' },
  save: { help: 'write results/ after any run, not only after a complete one' }
}

/** The selected works with their peers, the number of runs, and whether the results are saved. */
export function readArguments () {
  const { only, peers, runs, quick, save } = readOptions('npm run bench', OPTIONS)
  const wanted = { quick, runs: runs ?? (quick ? QUICK_RUNS : MIN_RUNS) }
  const isComplete = !quick && only === undefined && peers === undefined && wanted.runs >= MIN_RUNS
  return { ...wanted, save: save || isComplete, works: selectPeers(only ?? works, peers) }
}

function readWorks (list) {
  const names = list.split(',')
  const unknown = names.find((name) => !works.some(({ id }) => id.startsWith(name)))
  if (unknown !== undefined) throw new Error(`there is no work ${unknown}`)
  return works.filter(({ id }) => names.some((name) => id.startsWith(name)))
}

function readPeers (list) {
  const peers = list.split(',')
  const unknown = peers.find((peer) => !isPeer(peer))
  if (unknown !== undefined) throw new Error(`there is no peer ${unknown}`)
  return peers
}

function selectPeers (works, wanted) {
  if (wanted === undefined) return works
  return works.map((work) => {
    const builds = wanted.filter((peer) => !work.peers.includes(peer) && isBuild(peer))
    const chosen = work.peers.filter((peer) => wanted.includes(peer) || peer === work.reference)
    return { ...work, peers: [...chosen, ...builds] }
  })
}
