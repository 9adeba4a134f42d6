// Three processes with many clients publish while their broker is killed and started again.
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { KINDS, startBroker, whySkipBroker, type BrokerServer, type Kind } from '../helpers/brokers'
import { connect, type Client } from '../helpers/client'
import { Program, ROOT } from '../helpers/program'
import { turn } from '../helpers/streams'

t.setTimeout(180_000)

const IDS = ['a', 'b', 'c']

/** Messages of each process: before the outage, as it begins, in it, as it ends, and after it. */
const PARTS = [[0, 30], [30, 50], [50, 70], [70, 80], [80, 100]] as const
const MESSAGES = 100

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

/** Has all processes publish a part of their messages. Returns how many of each have failed. */
function publish (members: Member[], part: number): Promise<number[]> {
  const [from, to] = PARTS[part] ?? [0, 0]
  return Promise.all(members.map(async (member) => {
    return (await ask(member, `/publish/${from}/${to}`)).failed ?? 0
  }))
}

/** Kills the broker and starts it again, while the processes publish. Returns as `publish` does. */
async function interrupt (server: BrokerServer, members: Member[]): Promise<number[]> {
  await Promise.all([publish(members, 1), server.kill()])
  const failed = await publish(members, 2)
  await Promise.all([publish(members, 3), server.start()])
  return failed
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
  for (const id of IDS) await untilGot(members, `end ${id}`)
}

async function untilGot (members: Member[], text: string): Promise<void> {
  for (const { unread } of members.flatMap(({ clients }) => clients)) {
    while (!unread.some((message) => message.text === text)) await turn()
  }
}

for (const kind of KINDS) {
  const title = `${kind}: ${CLIENTS[kind]} clients of three processes, and a broker that is killed`
  test(title, { skip: whySkipBroker(kind) }, async (t) => {
    const server = await startBroker(t, kind)
    const members = await Promise.all(IDS.map((id) => startMember(t, kind, id, server.port)))
    t.strictSame(await publish(members, 0), [0, 0, 0])
    t.ok((await interrupt(server, members)).every((failed) => failed > 0), 'it was an outage')
    for (const { program, id } of members) await program.until(new RegExp(`${id}: gap`))
    await untilAllBack(members)
    t.strictSame(await publish(members, 4), [0, 0, 0])
    for (const id of IDS) await untilGot(members, `${id} ${MESSAGES - 1}`)
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
