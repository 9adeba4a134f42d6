// Three processes with many clients publish while their broker is killed and started again.
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { KINDS, startBroker, whySkipBroker, type BrokerServer, type Kind } from '../helpers/brokers'
import { connect, type Client } from '../helpers/client'
import { Program, ROOT } from '../helpers/program'
import { turn } from '../helpers/streams'

t.setTimeout(180_000)

const IDS = ['a', 'b', 'c']

/** Messages of each process. */
const MESSAGES = 100

/** Messages of a process until the broker is killed, and until it is started again. */
const KILL_AT = 30
const START_AT = 50

/** All clients, of all processes: fewer for the further versions of a library. */
const CLIENTS: Record<Kind, number> = {
  'ioredis 6': 1000, 'ioredis 5': 60, 'node-redis 6': 60, 'node-redis 5': 60, nats: 1000
}

/** Clients that connect at the same time. */
const AT_ONCE = 50

/** A process, and its clients. */
interface Member {
  readonly id: string
  readonly program: Program
  readonly http: string
  readonly clients: Client[]
}

async function startMember (t: Test, kind: Kind, id: string, port: number): Promise<Member> {
  const file = join(ROOT, 'test', 'helpers', 'topic-process.ts')
  const args = ['--import', 'tsx', file, kind, String(port), id]
  const program = new Program(t, process.execPath, args)
  const http = await program.address()
  const clients: Client[] = []
  const count = Math.ceil(CLIENTS[kind] / IDS.length)
  while (clients.length < count) {
    const length = Math.min(AT_ONCE, count - clients.length)
    clients.push(...await Promise.all(Array.from({ length }, async () => {
      const client = await connect(t, http.replace('http', 'ws'), { perMessageDeflate: false })
      await client.next()
      return client
    })))
  }
  return { id, program, http, clients }
}

async function ask ({ http }: Member, path: string): Promise<{ failed?: number, code?: string }> {
  const response = await fetch(`${http}${path}`)
  return await response.json() as { failed?: number, code?: string }
}

/** Kills the broker and starts it again, while a process has published some of its messages. */
async function interrupt (server: BrokerServer, { clients, id }: Member): Promise<void> {
  const [client] = clients
  const hasPublished = async (count: number): Promise<void> => {
    const last = `${id} ${count}`
    while (!client?.unread.some(({ text }) => text === last)) await turn()
  }
  await hasPublished(KILL_AT)
  await server.kill()
  await hasPublished(START_AT)
  await server.start()
}

/** What a client has got of each process, in order. */
function numbersOf (client: Client): Map<string, number[]> {
  const numbers = new Map<string, number[]>(IDS.map((id) => [id, []]))
  for (const { text } of client.unread) {
    const [id = '', number] = text.split(' ')
    numbers.get(id)?.push(Number(number))
  }
  return numbers
}

/** Publishes from each process until every client has its message: all subscriptions are there. */
async function untilAllBack (members: Member[]): Promise<void> {
  for (const member of members) {
    while ((await ask(member, '/end')).code !== undefined) await turn()
  }
  const clients = members.flatMap(({ clients }) => clients)
  for (const id of IDS) {
    while (!clients.every(({ unread }) => unread.some(({ text }) => text === `end ${id}`))) {
      await turn()
    }
  }
}

for (const kind of KINDS) {
  const title = `${kind}: ${CLIENTS[kind]} clients of three processes, and a broker that is killed`
  test(title, { skip: whySkipBroker(kind) }, async (t) => {
    const server = await startBroker(t, kind)
    const members = await Promise.all(IDS.map((id) => startMember(t, kind, id, server.port)))
    const [first] = members
    const [published] = await Promise.all([
      Promise.all(members.map((member) => ask(member, `/publish/${MESSAGES}`))),
      first && interrupt(server, first)
    ])
    t.ok(published.every(({ failed = 0 }) => failed > 0 && failed < MESSAGES), 'it was an outage')
    for (const { program, id } of members) await program.until(new RegExp(`${id}: gap`))
    await untilAllBack(members)
    const problems: string[] = []
    for (const { id: own, clients } of members) {
      for (const client of clients) {
        for (const [id, numbers] of numbersOf(client)) {
          const isSorted = numbers.every((number, i) => i === 0 || number > Number(numbers[i - 1]))
          if (!isSorted) problems.push(`${own} got of ${id}: ${numbers}`)
          if (id === own && numbers.length !== MESSAGES) problems.push(`${own} lacks its own`)
          if (numbers[0] !== 0 || numbers.at(-1) !== MESSAGES - 1) problems.push(`${own}: ${id}`)
        }
      }
    }
    t.strictSame(problems, [], 'each once, in the order of its publisher; of the own process all')
    for (const { program } of members) {
      const { output } = await program.kill('SIGTERM')
      t.equal(output.match(/gap/g)?.length, 1, 'one gap')
    }
  })
}
