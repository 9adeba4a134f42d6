import { parseArgs } from 'node:util'
import { isBuild, isPeer } from './peers.js'
import { works } from '../speed/works.js'

const MIN_RUNS = 5
const QUICK_RUNS = 3

export const USAGE = `npm run bench -- [options]

  --only <works>    these works, by the beginning of their name: ${works.map(({ id }) => id).join(', ')}
  --peers <peers>   these peers beside the reference; the folder of another build is a peer too
  --runs <number>   runs of each peer (default: ${MIN_RUNS}, or ${QUICK_RUNS} with --quick)
  --quick           shorter and fewer runs: a look, not a figure
  --save            write results/latest.json and results/speed.svg also after such a look
  --help
`

/** What the command line asks for. */
export function readArguments (args) {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      peers: { type: 'string' },
      runs: { type: 'string' },
      quick: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  const { quick, help } = values
  const runs = Number(values.runs ?? (quick ? QUICK_RUNS : MIN_RUNS))
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs is a number from 1')
  const isWhole = !quick && values.only === undefined && values.peers === undefined &&
    runs >= MIN_RUNS
  return {
    help,
    quick,
    runs,
    save: values.save || isWhole,
    works: selectPeers(selectWorks(values.only), values.peers)
  }
}

function selectWorks (only) {
  if (only === undefined) return works
  const names = only.split(',')
  for (const name of names) {
    if (!works.some(({ id }) => id.startsWith(name))) throw new Error(`there is no work ${name}`)
  }
  return works.filter(({ id }) => names.some((name) => id.startsWith(name)))
}

function selectPeers (works, list) {
  if (list === undefined) return works
  const wanted = list.split(',')
  const unknown = wanted.find((peer) => !isPeer(peer))
  if (unknown !== undefined) throw new Error(`there is no peer ${unknown}`)
  return works.map((work) => {
    const builds = wanted.filter((peer) => !work.peers.includes(peer) && isBuild(peer))
    const chosen = work.peers.filter((peer) => wanted.includes(peer) || peer === work.reference)
    return { ...work, peers: [...chosen, ...builds] }
  })
}
