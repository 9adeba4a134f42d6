// Many sieges, one after the other in a process of each kind, and what is to be said about them.
import { shrink } from './shrink'
import { drawSiege, type SiegePlan } from './siege'
import { SiegeProcess, type Guards, type Outcome } from './siege-process'

/** A campaign, which ends by itself. */
export interface CampaignOptions {
  /** Repeats all that is random. */
  readonly seed: number
  /** Clients of each siege. */
  readonly clients?: number | undefined
  /** Most sieges. */
  readonly sieges: number
  /** Seconds after which no siege begins. */
  readonly seconds: number
  /** Seconds to shrink each kind of failure; 0 leaves it as it is. */
  readonly shrinkSeconds: number
  /** Gets each line that is said on the way. */
  readonly say: (line: string) => void
}

/** A siege that an application did not stand. */
export interface Failure {
  readonly siege: number
  readonly guards: Guards
  readonly outcome: NonNullable<Outcome>
  readonly plan: SiegePlan
}

/** What a campaign came to. */
export interface Report {
  readonly applications: number
  readonly clients: number
  /** How many sieges failed, by the fault. */
  readonly faults: Readonly<Record<NonNullable<Outcome>['fault'], number>>
  /** The first failure of each kind, shrunk. */
  readonly failures: readonly Failure[]
}

const BOTH: readonly Guards[] = ['watched', 'bare']

/** How often a smaller plan is tried before it counts as one that does not fail. */
const TRIES = 3

/** Runs a campaign. */
export async function runCampaign (options: CampaignOptions): Promise<Report> {
  const campaign = new Campaign(options)
  await Promise.all(BOTH.map((guards, i) => campaign.run(guards, i)))
  return campaign.report
}

class Campaign {
  readonly #options: CampaignOptions
  readonly #end: number
  readonly #failures = new Map<string, Failure>()
  readonly #faults = { uncaught: 0, crash: 0, late: 0, left: 0, 'let in': 0, stuck: 0 }
  #applications = 0
  #clients = 0

  constructor (options: CampaignOptions) {
    this.#options = options
    this.#end = performance.now() + options.seconds * 1000
  }

  get report (): Report {
    return {
      applications: this.#applications,
      clients: this.#clients,
      faults: this.#faults,
      failures: [...this.#failures.values()]
    }
  }

  /** Every second siege is run in a process of one kind. */
  async run (guards: Guards, first: number): Promise<void> {
    const { seed, sieges, clients } = this.#options
    const process = new SiegeProcess(guards)
    for (let siege = first; siege < sieges; siege += BOTH.length) {
      if (performance.now() > this.#end) break
      const plan = drawSiege(seed + siege, clients)
      const outcome = await process.run(plan)
      this.#applications++
      this.#clients += plan.clients.length
      if (outcome !== null) await this.#fail({ siege, guards, outcome, plan }, process)
    }
    await process.end()
  }

  async #fail (failure: Failure, process: SiegeProcess): Promise<void> {
    const { siege, outcome } = failure
    const kind = kindOf(outcome)
    this.#faults[outcome.fault]++
    const { say, shrinkSeconds } = this.#options
    say(`siege ${siege} (${process.guards}): ${outcome.fault}: ${outcome.detail}`)
    if (this.#failures.has(kind)) return
    // The other process may meet the same meanwhile.
    this.#failures.set(kind, failure)
    if (shrinkSeconds === 0) return
    const plan = await shrinkFailure(failure, process, shrinkSeconds)
    this.#failures.set(kind, { ...failure, plan })
    say(`siege ${siege} shrunk: ${JSON.stringify(plan)}`)
  }
}

async function shrinkFailure (
  { plan, outcome }: Failure, process: SiegeProcess, seconds: number
): Promise<SiegePlan> {
  const end = performance.now() + seconds * 1000
  const fails = async (smaller: SiegePlan): Promise<boolean> => {
    for (let i = 0; i < TRIES; i++) {
      const next = await process.run(smaller)
      if (next !== null && kindOf(next) === kindOf(outcome)) return true
    }
    return false
  }
  return await shrink(plan, fails, () => performance.now() > end)
}

/** What failures have in common that have the same cause, as far as their text tells. */
function kindOf ({ fault, detail }: NonNullable<Outcome>): string {
  // An error that is uncaught here is a crash there.
  const group = fault === 'crash' ? 'uncaught' : fault
  return `${group}: ${detail.replaceAll(/\d+/g, '#').replaceAll(/\s+/g, ' ')}`
}
