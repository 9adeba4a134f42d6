// The token, the connection and the numbers. What comes from the server is only ever put into
// `textContent`, so it stays text.
import { addPoints, element, short } from './charts.js'

const FIRST_DELAY = 500
const LONGEST_DELAY = 10_000
const MOST_ROWS = 10
const USABLE_TOKEN = /^[\w-]{20,200}$/

const find = (id) => document.getElementById(id)
const whole = new Intl.NumberFormat('en')

let token = ''
let socket = null
let attempts = 0
let timer

window.addEventListener('hashchange', takeToken)
takeToken()

/** The token is in the URL the first time, and then in the memory of this tab. */
function takeToken () {
  const given = window.location.hash.slice(1)
  if (given !== '') {
    // Out of the address bar and of the history.
    window.history.replaceState(null, '', window.location.pathname)
    sessionStorage.setItem('token', given)
  }
  open(sessionStorage.getItem('token') ?? '')
}

find('ask').addEventListener('submit', (event) => {
  event.preventDefault()
  sessionStorage.setItem('token', find('token').value)
  open(find('token').value)
})

function open (chosen) {
  if (!USABLE_TOKEN.test(chosen)) {
    askForToken(chosen === '')
    return
  }
  token = chosen
  find('ask').hidden = true
  find('board').hidden = false
  // With another token, the old connection says nothing any more.
  socket?.close()
  socket = null
  connect()
}

function askForToken (isFirst) {
  sessionStorage.removeItem('token')
  token = ''
  // A connection that is still tried with the wrong token must not ask again: that empties the form.
  socket?.close()
  socket = null
  clearTimeout(timer)
  find('board').hidden = true
  find('ask').hidden = false
  find('token').value = ''
  find('token').focus()
  if (isFirst) return
  find('ask-text').className = 'wrong'
  find('ask-text').textContent = 'This token is wrong. After a restart the server may have another.'
}

// --- The connection ---

find('retry').addEventListener('click', connect)
window.addEventListener('online', connect)
// A browser may take minutes to notice by itself.
window.addEventListener('offline', () => { if (socket !== null) lose(socket) })

function connect () {
  if (socket !== null || token === '') return
  clearTimeout(timer)
  find('lost-text').textContent = 'The connection is lost. Trying again…'
  showStatus('connecting', 'Connecting…')
  const url = new URL('/stats', window.location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  const opened = socket = new WebSocket(url, ['dashboard', `token.${token}`])
  let isFirst = true
  opened.addEventListener('message', ({ data }) => {
    if (opened !== socket) return
    if (isFirst) welcome()
    show(JSON.parse(data), isFirst)
    isFirst = false
  })
  opened.addEventListener('close', () => { lose(opened) })
}

function welcome () {
  attempts = 0
  find('lost').hidden = true
  showStatus('open', 'Live')
}

function lose (closed) {
  if (closed !== socket) return
  socket = null
  closed.close()
  find('lost').hidden = false
  showStatus('lost', 'Not connected')
  // The longest wait doubles each time. The wait is random, so that pages do not come at once.
  const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempts++)
  wait(Date.now() + Math.random() * longest)
  checkToken(token)
}

/** A page is not told why its WebSocket was refused, so it asks by HTTP. */
async function checkToken (used) {
  const headers = { authorization: `Bearer ${used}` }
  const response = await fetch('/stats', { headers }).catch(() => null)
  if (response?.status !== 401 || used !== token) return
  askForToken(false)
}

function wait (end) {
  const left = end - Date.now()
  clearTimeout(timer)
  if (left <= 0) return connect()
  const seconds = Math.ceil(left / 1000)
  find('lost-text').textContent = `The connection is lost. Next try in ${seconds} s.`
  timer = setTimeout(wait, Math.min(left, 1000), end)
}

function showStatus (state, text) {
  find('status').dataset.state = state
  find('status').textContent = text
}

// --- The numbers ---

function show ({ points, stats, memory, uptime }, isFirst) {
  addPoints(points, isFirst)
  const last = points.at(-1) ?? { received: 0, sent: 0, delay: 0 }
  const refused = stats.refused.reduce((sum, { count }) => sum + count, 0)
  const [size, unit] = toSize(memory)
  const texts = {
    open: short(stats.open),
    received: short(Math.round(last.received)),
    sent: short(Math.round(last.sent)),
    delay: last.delay < 100 ? last.delay.toFixed(1) : short(last.delay),
    refused: short(refused),
    memory: size,
    'memory-unit': unit
  }
  for (const [id, text] of Object.entries(texts)) find(id).textContent = text
  showRows('refused-by', stats.refused.map(({ statusCode, code, count }) => {
    return { name: statusCode, text: code ?? '', count }
  }), 'No upgrade was refused.')
  showRows('closed-by', Object.entries(stats.closed).map(([code, count]) => {
    return { name: code, text: CLOSE_CODES[code] ?? '', count }
  }), 'No connection has ended.')
  showTotals(stats, uptime)
}

const CLOSE_CODES = {
  1000: 'normal',
  1001: 'going away',
  1002: 'protocol error',
  1003: 'unsupported data',
  1005: 'no code',
  1006: 'lost',
  1007: 'invalid data',
  1008: 'policy violation',
  1009: 'message too big',
  1011: 'error of the server',
  1012: 'service restart',
  1013: 'try again later'
}

/** The most frequent first. */
function showRows (id, rows, textIfNone) {
  const sorted = rows.sort((one, other) => other.count - one.count)
  const items = sorted.slice(0, MOST_ROWS).map(({ name, text, count }) => {
    return row([element('code', '', String(name)), ' ', ...breakable(text)], whole.format(count))
  })
  const more = sorted.length - items.length
  if (more > 0) items.push(element('li', 'none', `and ${more} more`))
  if (items.length === 0) items.push(element('li', 'none', textIfNone))
  find(id).replaceChildren(...items)
}

function showTotals (stats, uptime) {
  find('totals').replaceChildren(
    row(['Accepted'], whole.format(stats.accepted)),
    row(['Messages in'], whole.format(stats.messagesReceived)),
    row(['Messages out'], whole.format(stats.messagesSent)),
    row(['Payload in'], toSize(stats.bytesReceived).join(' ')),
    row(['Payload out'], toSize(stats.bytesSent).join(' ')),
    row(['Messages never read'], whole.format(stats.messagesDropped)),
    row(['Messages that wait now'], whole.format(stats.messagesWaiting)),
    row(['Published on topics'], whole.format(stats.published)),
    row(['Delivered'], whole.format(stats.delivered)),
    row(['Skipped: slow subscriber'], whole.format(stats.skipped)),
    row(['Subscriptions now'], whole.format(stats.subscriptions)),
    row(['Gaps of the broker'], whole.format(stats.gaps)),
    row(['Cut off: no pong'], whole.format(stats.unresponsive)),
    row(['Closed: too slow'], whole.format(stats.tooSlow)),
    row(['Process runs for'], toTime(uptime))
  )
}

/** A text that may break behind each of its underscores. */
function breakable (text) {
  return text.split(/(?<=_)/).flatMap((part) => [part, element('wbr', '')])
}

function row (texts, value) {
  return element('li', '', element('span', '', ...texts), element('b', '', value))
}

function toSize (bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = bytes
  while (size >= 1000 && units.length > 1) {
    size /= 1024
    units.shift()
  }
  return [size >= 100 || Number.isInteger(size) ? Math.round(size) : size.toFixed(1), units[0]]
}

function toTime (seconds) {
  const minutes = Math.floor(seconds / 60)
  if (minutes < 1) return `${Math.floor(seconds)} s`
  if (minutes < 120) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`
}
