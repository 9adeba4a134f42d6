// The page on metrics and traces: what its programs tell is what their clients know.
import * as conventions from '@opentelemetry/semantic-conventions/incubating'
import t, { test, type Test } from 'tap'
import { connect, ping, refused, type Client } from '../helpers/client'
import { Document, unquote, type Scenario } from '../helpers/documents'
import { frame, RawClient, upgradeHead } from '../helpers/raw'
import { turn } from '../helpers/streams'

// Each program is compiled and started.
t.setTimeout(120_000)

/** What the program of OpenTelemetry has beside its exporters: some in memory, to be asked for. */
const PROBES = `
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { AggregationTemporality, InMemoryMetricExporter } from '@opentelemetry/sdk-metrics'
const spansInMemory = new InMemorySpanExporter()
const metricsInMemory = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter: metricsInMemory })
`

const PROBE_ROUTES = `
fastify.get('/spans', { config: { otel: false } }, async () => {
  return spansInMemory.getFinishedSpans().map((span) => {
    const { name, kind, attributes, links, parentSpanContext: parent, status, events } = span
    return { name, kind, attributes, links, parent, status, events, context: span.spanContext() }
  })
})

fastify.get('/numbers', { config: { otel: false } }, async () => {
  metricsInMemory.reset()
  await reader.forceFlush()
  const scopes = metricsInMemory.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
  return scopes.flatMap(({ metrics }) => metrics).map(({ descriptor: { name }, dataPoints }) => {
    return { name, dataPoints }
  })
})

fastify.get('/fail', { websocket: true }, () => { throw new Error('a bug') })
for (const path of ['/lost', '/broken']) fastify.get(path, { websocket: true }, () => {})

process.once('SIGTERM', () => fastify.close())
`

const SPAN_PROCESSORS = 'spanProcessors: [new BatchSpanProcessor(new ConsoleSpanExporter())'
const READERS =
  'readers: [new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter() })'

const PAGE = new Document('docs/metrics.md', {
  '// To see it at work. Put the exporters of your collector here.': PROBES,
  [SPAN_PROCESSORS]: `${SPAN_PROCESSORS}, new SimpleSpanProcessor(spansInMemory)`,
  [READERS]: `${READERS}, reader`,
  '// The last connections have ended by then.': PROBE_ROUTES
})

const MESSAGES = ['text', 'zoë', Buffer.from('bytes'), '']

/** Sends messages and reads the answers; returns how many bytes went each way. */
async function talk (client: Client): Promise<{ received: number, sent: number }> {
  let sent = 0
  let received = 0
  for (const message of MESSAGES) {
    client.send(message)
    received += Buffer.byteLength(message)
    sent += (await client.next()).data.length
  }
  return { received, sent }
}

/** What the program answers in JSON. */
async function ask<T> (url: string): Promise<T> {
  return JSON.parse(await (await fetch(url)).text())
}

/** Asks again and again, until the answer is as it is to be. */
async function until<T> (look: () => Promise<T>, isDone: (seen: T) => boolean): Promise<T> {
  while (true) {
    const answer = await look()
    if (isDone(answer)) return answer
    await turn()
  }
}

// --- Prometheus ---

/** The samples of an answer to Prometheus, by name and labels. */
async function scrape (origin: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${origin.replace('ws', 'http')}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => {
    const space = line.lastIndexOf(' ')
    return [line.slice(0, space), Number(line.slice(space))]
  }))
}

/** The samples of the durations, without their buckets. */
function durationsOf (samples: Map<string, number>): Array<[string, number]> {
  return [...samples].filter(([name]) => /^websocket_duration_seconds_(?!bucket)/.test(name))
}

async function checkPrometheus (t: Test, origin: string): Promise<void> {
  const start = performance.now()
  t.same(durationsOf(await scrape(origin)), [], 'no connection has ended')
  const clients = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((room) => {
    return connect(t, `${origin}/rooms/${room}?secret=${room}`)
  }))
  let received = 0
  let sent = 0
  for (const client of clients) {
    const bytes = await talk(client)
    received += bytes.received
    sent += bytes.sent
  }
  const { statusCode } = await refused(t, `${origin}/rooms/a`, { origin: 'http://example.com' })
  t.equal(statusCode, 403)
  for (let count = 0; count < 2; count++) await refused(t, `${origin}/nothing`)
  const [normal, four, five, none] = clients
  normal?.close(1000)
  four?.close(4000)
  five?.close(4999)
  none?.close()
  const isDone = (samples: Map<string, number>): boolean => {
    return samples.get('websocket_connections') === 1
  }
  await until(() => scrape(origin), isDone)
  // Neither does asking again add anything, nor do two that ask at once.
  for (const samples of await Promise.all([scrape(origin), scrape(origin)])) {
    const known = {
      websocket_connections: 1,
      websocket_messages_waiting: 0,
      websocket_subscriptions: 0,
      websocket_accepted_total: 5,
      websocket_received_messages_total: 5 * MESSAGES.length,
      websocket_received_bytes_total: received,
      websocket_sent_messages_total: 5 * MESSAGES.length,
      websocket_sent_bytes_total: sent,
      websocket_dropped_messages_total: 0,
      websocket_published_total: 0,
      websocket_delivered_total: 0,
      websocket_skipped_total: 0,
      websocket_gaps_total: 0,
      websocket_unresponsive_total: 0,
      websocket_too_slow_total: 0,
      'websocket_refused_total{status="403",code="FST_WS_ORIGIN_NOT_ALLOWED"}': 1,
      'websocket_refused_total{status="404",code=""}': 2,
      'websocket_closed_total{code="1000"}': 1,
      'websocket_closed_total{code="4xxx"}': 2,
      'websocket_closed_total{code="1005"}': 1
    }
    const others = [...samples].filter(([name]) => !name.startsWith('websocket_duration_'))
    t.strictSame(Object.fromEntries(others), known)
    const [sum, count] = durationsOf(samples)
    t.strictSame(count, ['websocket_duration_seconds_count{route="/rooms/:room"}', 4])
    t.equal(sum?.[0], 'websocket_duration_seconds_sum{route="/rooms/:room"}')
    t.ok(Number(sum?.[1]) > 0 && Number(sum?.[1]) < 4 * (performance.now() - start) / 1000)
    t.notMatch([...samples.keys()].join(), /secret/)
  }
}

// --- OpenTelemetry ---

interface SpanContext { traceId: string, spanId: string }

/** What the test reads of a span. */
interface Span {
  name: string
  kind: number
  attributes: Record<string, unknown>
  links: Array<{ context: SpanContext }>
  parent?: SpanContext
  status: { code: number }
  events: Array<{ name: string, attributes: object }>
  context: SpanContext
}

interface Metric {
  name: string
  dataPoints: Array<{ attributes: Record<string, unknown>, value: unknown }>
}

const KIND_SERVER = 1
const STATUS_UNSET = 0
const STATUS_ERROR = 2

async function checkSpans (
  t: Test, http: string, bytes: { received: number, sent: number }
): Promise<void> {
  const spans = await until(() => ask<Span[]>(`${http}/spans`), (all) => {
    return all.filter(({ name }) => name.startsWith('websocket ')).length === 4
  })
  const find = (wanted: string, route: string): Span[] => spans.filter(({ name, attributes }) => {
    return name === wanted && attributes['http.route'] === route
  })
  const [request] = find('request', '/rooms/:room')
  const [connection] = find('websocket /rooms/:room', '/rooms/:room')
  t.ok(request !== undefined && connection !== undefined, 'each has its span')
  t.match(request?.attributes, { 'http.response.status_code': 101 })
  t.equal(connection?.kind, KIND_SERVER)
  t.equal(connection?.status.code, STATUS_UNSET)
  t.equal(connection?.parent, undefined)
  t.not(connection?.context.traceId, request?.context.traceId)
  t.match(connection?.links.map(({ context }) => context), [{
    traceId: request?.context.traceId, spanId: request?.context.spanId
  }])
  t.match(connection?.attributes, {
    'url.scheme': 'ws',
    'url.path': '/rooms/a',
    'server.address': '127.0.0.1',
    'server.port': Number(new URL(http).port),
    'client.address': '127.0.0.1',
    'user_agent.original': 'test',
    'network.peer.address': '127.0.0.1',
    'network.peer.port': Number,
    'fastify_websocket.request_id': 'req-1',
    'fastify_websocket.close_code': 4000,
    'fastify_websocket.messages_received': MESSAGES.length,
    'fastify_websocket.messages_sent': MESSAGES.length,
    // A message has a header of two bytes, and of a client four of a mask; so has a close frame.
    'fastify_websocket.frame_bytes_received': bytes.received + 6 * MESSAGES.length + 6 + 2,
    'fastify_websocket.frame_bytes_sent': bytes.sent + 2 * MESSAGES.length + 2 + 2
  })
  const answers = spans.filter(({ name }) => name === 'answer')
  t.equal(answers.length, MESSAGES.length)
  for (const { parent } of answers) t.match(parent, connection?.context ?? {}, 'of its connection')

  const [failed] = find('websocket /fail', '/fail')
  t.equal(failed?.status.code, STATUS_ERROR)
  t.match(failed?.events, [{ name: 'exception', attributes: { 'exception.message': 'a bug' } }])
  for (const route of ['/lost', '/broken']) {
    const [span] = find(`websocket ${route}`, route)
    t.equal(span?.attributes['fastify_websocket.close_code'], 1006)
    t.equal(span?.status.code, STATUS_UNSET)
    t.same(span?.events, [], 'that is no bug')
  }
  checkNames(t, [connection, failed].flatMap((span) => Object.keys(span?.attributes ?? {})))
}

/** Connects and sends a frame that no client may send. */
async function breakRules (t: Test, port: number, path: string): Promise<void> {
  const client = new RawClient(t, port)
  client.write(upgradeHead(path))
  await client.until('\r\n\r\n')
  client.write(frame(0xff))
  await client.closed
}

/** Each attribute is one of the conventions, or says whose it is; and the page has it. */
function checkNames (t: Test, names: readonly string[]): void {
  const known: unknown[] = Object.values(conventions)
  const documented = PAGE.rows('attribute').flatMap(([cell]) => unquote(cell).split(', '))
  t.ok(names.length > 0)
  for (const name of names) {
    t.ok(name.startsWith('fastify_websocket.') || known.includes(name), name)
    t.ok(documented.includes(name), `${name} is documented`)
  }
}

async function checkNumbers (
  t: Test, http: string, bytes: { received: number, sent: number }
): Promise<void> {
  const all = await ask<Metric[]>(`${http}/numbers`)
  const points = (wanted: string): unknown[] => {
    const { dataPoints = [] } = all.find(({ name }) => name === wanted) ?? {}
    return dataPoints.map(({ attributes, value }) => [attributes, value])
  }
  const received = { 'network.io.direction': 'receive' }
  const sent = { 'network.io.direction': 'transmit' }
  t.strictSame(points('fastify_websocket.connections'), [[{}, 1]])
  t.strictSame(points('fastify_websocket.messages'), [
    [received, MESSAGES.length], [sent, MESSAGES.length]
  ])
  t.strictSame(points('fastify_websocket.io'), [[received, bytes.received], [sent, bytes.sent]])
  t.strictSame(points('fastify_websocket.refused'), [
    [{ 'http.response.status_code': 404, 'error.type': '404' }, 1]
  ])
  t.match(points('fastify_websocket.connection.duration'), [
    [{ 'http.route': '/rooms/:room' }, { count: 1, max: Number }],
    [{ 'http.route': '/fail' }, { count: 1, max: Number }],
    [{ 'http.route': '/lost' }, { count: 1, max: Number }],
    [{ 'http.route': '/broken' }, { count: 1, max: Number }]
  ])
  const ours = all.filter(({ name }) => name.startsWith('fastify_websocket.'))
  checkNames(t, ours.flatMap(({ dataPoints }) => {
    return dataPoints.flatMap(({ attributes }) => Object.keys(attributes))
  }))
}

const SCENARIOS: readonly Scenario[] = [
  { marker: 'prom-client', check: checkPrometheus },
  {
    marker: 'startSpan',
    async check (t, origin, program) {
      const http = origin.replace('ws', 'http')
      const headers = { 'user-agent': 'test' }
      const client = await connect(t, `${origin}/rooms/a?secret=a`, { headers })
      const bytes = await talk(client)
      await refused(t, `${origin}/nothing`)
      client.close(4000)
      await client.closed
      const failed = await connect(t, `${origin}/fail`)
      t.match(await failed.closed, { code: 1011 })
      const lost = await connect(t, `${origin}/lost`)
      lost.socket.terminate()
      await breakRules(t, Number(new URL(origin).port), '/broken')
      const last = await connect(t, `${origin}/rooms/last`)
      await ping(last)
      await checkSpans(t, http, bytes)
      await checkNumbers(t, http, bytes)

      const { output } = await program.kill('SIGTERM')
      t.match(output, "'fastify_websocket.close_code': 1001", 'the last span is exported, too')
    }
  }
]

test('every program of the page tells what its clients know', async (t) => {
  await PAGE.run(t, SCENARIOS)
})
