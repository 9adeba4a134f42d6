import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readArguments, USAGE } from '../lib/arguments.js'
import { drawChart } from './chart.js'
import { describeMachine, findCores, findVersions } from '../lib/machine.js'
import { measure, SIZES } from './measure.js'
import { labelOf } from '../lib/peers.js'
import { summarizeWork } from './results.js'
import { formatWork } from './table.js'

const HERE = fileURLToPath(new URL('..', import.meta.url))
const RESULTS = new URL('../results/', import.meta.url)

const { help, quick, runs, save, works } = readArguments(process.argv.slice(2))
const size = quick ? SIZES.quick : SIZES.full

if (help) console.log(USAGE)
else await main()

async function main () {
  installPeers()
  const cores = findCores()
  const machine = describeMachine()
  const versions = findVersions()
  console.log(formatFacts({ ...machine, ...versions, cores: formatCores(cores, machine) }))

  const summaries = []
  for (const work of works) {
    const summary = summarizeWork(work, await runRounds(work, cores))
    console.log(`\n${formatWork(summary)}`)
    summaries.push(summary)
  }
  if (!save) return
  const date = new Date().toISOString().slice(0, 10)
  const results = { date, quick, runs, size, isPinned: cores !== null, machine, versions }
  saveResults({ ...results, works: summaries })
}

function installPeers () {
  if (existsSync(new URL('../node_modules', import.meta.url))) return
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: HERE, stdio: 'inherit' })
}

/** The runs of each peer, interleaved: one of each, then the next of each. */
async function runRounds (work, cores) {
  const runsOfPeers = new Map(work.peers.map((peer) => [peer, []]))
  for (let round = 1; round <= runs; round++) {
    for (const [peer, runsOfPeer] of runsOfPeers) {
      showProgress(`${work.id}, run ${round} of ${runs}: ${labelOf(peer)}`)
      runsOfPeer.push(await measure(work, peer, cores, size))
    }
  }
  showProgress('')
  return runsOfPeers
}

function showProgress (text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function formatFacts (facts) {
  return Object.entries(facts).map(([name, value]) => `${name} ${value}`).join(', ')
}

function formatCores (cores, machine) {
  return cores === null ? `${machine.cores}, not pinned` : `${machine.cores}, pinned`
}

function saveResults (results) {
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(new URL('latest.json', RESULTS), JSON.stringify(results, null, 2) + '\n')
  writeFileSync(new URL('speed.svg', RESULTS), drawChart(results))
}
