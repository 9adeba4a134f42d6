// What comes from others is only ever put into `textContent`, so it stays text.

const FIRST_DELAY = 500
const LONGEST_DELAY = 10_000
/** Milliseconds. A process tells its names every 5 seconds. */
const LIST_LIFETIME = 15_000

const find = (id) => document.getElementById(id)
const log = find('log')
const time = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })

let wantedName = ''
let name = ''
let names = null
const lists = new Map()
let socket = null
let attempts = 0
let timer
/** Whether the log stays at its end: not while the user reads an earlier part. */
let isFollowing = true
/** The size of the log in the last layout that the observer below was told of. */
let logSize = ''

find('name').value = sessionStorage.getItem('name') ?? ''

find('join').addEventListener('submit', (event) => {
  event.preventDefault()
  wantedName = find('name').value.trim()
  sessionStorage.setItem('name', wantedName)
  find('join').hidden = true
  find('room').hidden = false
  find('text').focus()
  connect()
})

find('compose').addEventListener('submit', (event) => {
  event.preventDefault()
  const text = find('text').value.trim()
  if (text === '' || socket?.readyState !== WebSocket.OPEN) return
  socket.send(JSON.stringify({ text }))
  find('text').value = ''
})

find('retry').addEventListener('click', () => {
  // The button is about to go, and the focus would go with it.
  find('text').focus()
  connect()
})
window.addEventListener('online', () => {
  // An attempt that began without a network may take minutes to fail.
  if (socket?.readyState === WebSocket.CONNECTING) lose(socket)
  if (wantedName !== '') connect()
})
// A browser may take minutes to notice by itself.
window.addEventListener('offline', () => { if (socket !== null) lose(socket) })

log.addEventListener('scroll', checkFollowing)
// The log gets another size when a keyboard opens or closes, and when a phone is turned.
new window.ResizeObserver(() => {
  logSize = sizeOf(log)
  if (isFollowing) showEnd()
}).observe(log)
for (const type of ['resize', 'scroll']) window.visualViewport.addEventListener(type, fitRoom)

function connect () {
  if (socket !== null) return
  clearTimeout(timer)
  find('lost-text').textContent = 'The connection is lost. Trying again…'
  showStatus('connecting', 'Connecting…')
  const url = new URL(`/chat?${new URLSearchParams({ name: wantedName })}`, window.location.href)
  url.protocol = url.protocol.replace('http', 'ws')
  const opened = socket = new WebSocket(url)
  opened.addEventListener('message', ({ data }) => {
    if (opened === socket) receive(JSON.parse(data))
  })
  opened.addEventListener('close', () => { lose(opened) })
}

function receive (event) {
  if (event.type === 'welcome') welcome(event.name)
  else if (event.type === 'people') showPeople(merge(event))
  else addMessage(event)
}

function welcome (givenName) {
  if (attempts > 0) addNote('Connected again')
  attempts = 0
  name = givenName
  names = null
  lists.clear()
  find('lost').hidden = true
  find('send').disabled = false
  showStatus('open', `Connected as ${name}`)
}

function lose (closed) {
  if (closed !== socket) return
  socket = null
  closed.close()
  find('send').disabled = true
  find('lost').hidden = false
  if (attempts === 0) addNote('Connection lost')
  showStatus('lost', 'Not connected')
  // The longest wait doubles each time. The wait is random, so that clients do not come at once.
  const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** attempts++)
  wait(Date.now() + Math.random() * longest)
}

function wait (end) {
  const left = end - Date.now()
  if (left <= 0) return connect()
  const seconds = Math.ceil(left / 1000)
  find('lost-text').textContent = `The connection is lost. Next try in ${seconds} s.`
  timer = setTimeout(wait, Math.min(left, 1000), end)
}

function showStatus (state, text) {
  find('status').dataset.state = state
  find('status').textContent = text
}

/** The names of all processes of the chat. One that has not told its names for a while is gone. */
function merge ({ from, names: current }) {
  lists.set(from, { current, time: Date.now() })
  for (const [process, list] of lists) {
    if (Date.now() - list.time > LIST_LIFETIME) lists.delete(process)
  }
  return [...lists.values()].flatMap((list) => list.current)
}

function showPeople (current) {
  if (names !== null) {
    for (const each of current) if (!names.includes(each)) addNote(`${each} joined`)
    for (const each of names) if (!current.includes(each)) addNote(`${each} left`)
  }
  names = current
  find('count').textContent = `(${names.length})`
  find('people').replaceChildren(...names.map((each) => {
    return element('li', '', avatar(each), element('span', '', each === name ? `${each} (you)` : each))
  }))
}

function addMessage ({ name: author, text }) {
  const meta = element('div', 'meta', `${author}, ${time.format(new Date())}`)
  const bubble = element('div', 'bubble', text)
  const isOwn = author === name
  add(element('li', isOwn ? 'own' : '', meta, bubble))
  if (isOwn) showEnd()
}

function addNote (text) {
  add(element('li', 'note', text))
}

function add (item) {
  checkFollowing()
  log.append(item)
  if (isFollowing) showEnd()
}

function showEnd () {
  log.scrollTop = log.scrollHeight
}

function checkFollowing () {
  // With another size the browser scrolls the log by itself: that says nothing of the user.
  if (sizeOf(log) !== logSize) return
  isFollowing = log.scrollHeight - log.scrollTop - log.clientHeight < 80
}

function sizeOf ({ clientWidth, clientHeight }) {
  return `${clientWidth} x ${clientHeight}`
}

/** On iOS a keyboard covers a part of the page: the room gets the size of the visible part. */
function fitRoom () {
  const { scale, height, offsetTop } = window.visualViewport
  // A user who magnifies the page sees a part of the room, which keeps its size.
  const isWhole = scale < 1.01
  find('room').style.setProperty('--visible-height', isWhole ? `${height}px` : '')
  find('room').style.setProperty('--visible-top', isWhole ? `${offsetTop}px` : '')
}

function avatar (author) {
  const [initial] = author
  const circle = element('span', 'avatar', initial.toUpperCase())
  let hash = 0
  for (const character of author) hash = (hash * 31 + character.codePointAt(0)) % 360
  // By the golden angle, names that are nearly the same get colors that are not.
  circle.style.setProperty('--hue', hash * 137.5 % 360)
  circle.ariaHidden = 'true'
  return circle
}

/** Strings among `children` become text, never markup. */
function element (tag, className, ...children) {
  const node = document.createElement(tag)
  node.className = className
  node.append(...children)
  return node
}
