/**
 * The speed benchmark. For each work of works.js it measures the peers in rounds (measure.js),
 * summarizes their runs (results.js) and prints a table (report.js). Then it writes results/.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findCores } from '../lib/cores.js'
import { labelOf, runtimeOf } from '../peers/peers.js'
import { readArguments } from './arguments.js'
import { drawChart } from './chart.js'
import { describeMachine, findVersions } from './machine.js'
import { measure, SIZES } from './measure.js'
import { formatWork } from './report.js'
import { summarizeWork } from './results.js'

const BENCH = new URL('../', import.meta.url)
const RESULTS = new URL('results/', BENCH)

const { quick, runs, save, works } = readArguments()
const size = quick ? SIZES.quick : SIZES.full

await main()

async function main () {
  installPeers()
  const cores = findCores()
  const machine = describeMachine()
  const versions = findVersions()
  console.log(formatFacts({ ...machine, ...versions, cores: formatCores(cores, machine) }))

  const missing = [...new Set(works.flatMap(({ peers }) => peers.filter(isMissing)))]
  for (const peer of missing) console.log(`left out, because it is not installed: ${labelOf(peer)}`)

  const summaries = []
  for (const each of works) {
    const work = { ...each, peers: each.peers.filter((peer) => !isMissing(peer)) }
    const summary = summarizeWork(work, await runRounds(work, cores))
    console.log(`\n${formatWork(summary)}`)
    summaries.push(summary)
  }
  if (!save) return
  const date = new Date().toISOString().slice(0, 10)
  const results = { date, quick, runs, size, isPinned: cores !== null, machine, versions }
  saveResults({ ...results, works: summaries })
}

function isMissing (peer) {
  return runtimeOf(peer) === null
}

function installPeers () {
  if (existsSync(new URL('node_modules', BENCH))) return
  const cwd = fileURLToPath(BENCH)
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd, stdio: 'inherit' })
}

/** The runs of a work by peer. A round has one run of each peer: a disturbance meets them all. */
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
