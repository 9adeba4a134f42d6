// The long chaos, `npm run chaos`. It takes these variables of the environment:
//
// - CHAOS_MINUTES, or the first argument: how long it runs; default: 5
// - CHAOS_SEED: the seed; a new one for every run is printed
// - CHAOS_SIEGES: most sieges
// - CHAOS_PLAN: a plan that an earlier run has printed, to run it alone, 20 times
import { randomInt } from 'node:crypto'
import { runCampaign, type Report } from './campaign'
import type { SiegePlan } from './siege'
import { SiegeProcess } from './siege-process'

const { CHAOS_SEED, CHAOS_PLAN, CHAOS_MINUTES, CHAOS_SIEGES } = process.env

const DEFAULT_MINUTES = 5

/** How often a plan is run that is given. */
const REPEATS = 20

/** Seconds to shrink each kind of failure. */
const SHRINK_SECONDS = 180

function say (line: string): void {
  console.log(line)
}

async function runChaos (): Promise<boolean> {
  const seed = Number(CHAOS_SEED ?? randomInt(2 ** 31))
  const minutes = Number(process.argv[2] ?? CHAOS_MINUTES ?? DEFAULT_MINUTES)
  say(`CHAOS_SEED=${seed}, ${minutes} minutes`)
  const report = await runCampaign({
    seed,
    sieges: Number(CHAOS_SIEGES ?? Infinity),
    seconds: minutes * 60,
    shrinkSeconds: SHRINK_SECONDS,
    say
  })
  tell(report)
  return report.failures.length === 0
}

function tell ({ applications, clients, faults, failures }: Report): void {
  for (const { siege, guards, outcome: { fault, detail }, plan } of failures) {
    say(`\nsiege ${siege} (${guards}): ${fault}: ${detail}`)
    say(`  application: ${JSON.stringify(plan.application)}`)
    for (const client of plan.clients.slice(0, 10)) say(`  client: ${JSON.stringify(client)}`)
    say(`  again: CHAOS_PLAN='${JSON.stringify(plan)}' npm run chaos`)
  }
  const counts = Object.entries(faults).map(([fault, count]) => `${count} ${fault}`)
  say(`\n${applications} applications, ${clients} clients: ${counts.join(', ')}`)
}

async function replay (plan: SiegePlan): Promise<boolean> {
  let failures = 0
  for (const guards of ['watched', 'bare'] as const) {
    const process = new SiegeProcess(guards)
    for (let i = 0; i < REPEATS / 2; i++) {
      const outcome = await process.run(plan)
      say(`${guards}: ${outcome === null ? 'stood' : `${outcome.fault}: ${outcome.detail}`}`)
      if (outcome !== null) failures++
    }
    await process.end()
  }
  return failures === 0
}

const run = CHAOS_PLAN === undefined ? runChaos() : replay(JSON.parse(CHAOS_PLAN))
run.then((isGood) => { process.exitCode = isGood ? 0 : 1 }, (error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
