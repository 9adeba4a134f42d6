// The charts: the last five minutes, a point each second.
import UPlot from '/uPlot.js'

/** Seconds that a chart shows: at first, and at most. There is a point for each second. */
const SHORTEST_SPAN = 60
const LONGEST_SPAN = 300
const FONT = '12px system-ui, sans-serif'

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hour12: false })
const exactClock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hour12: false })
const whole = new Intl.NumberFormat('en')
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

/** A number in at most six characters. */
export function short (number) {
  if (number < 10 && !Number.isInteger(number)) return number.toFixed(1)
  return number < 100_000 ? whole.format(Math.round(number)) : compact.format(number)
}

/** What a chart shows: properties of a point, with the names of their colors. */
const CHARTS = {
  connections: { series: [{ key: 'open', label: 'open', color: '--accent', isFilled: true }] },
  messages: {
    series: [
      { key: 'received', label: 'in', color: '--accent' },
      { key: 'sent', label: 'out', color: '--second' }
    ]
  },
  delay: {
    series: [
      { key: 'delay', label: 'p99', color: '--accent', isFilled: true },
      { key: 'longestDelay', label: 'longest', color: '--third' }
    ]
  },
  refusals: { series: [{ key: 'refused', label: 'refused', color: '--bad', isBars: true }] }
}

const probe = document.createElement('span')
probe.hidden = true
document.body.append(probe)

/** The color behind a name, as it is in light or in dark. */
function colorOf (name, part = 100) {
  probe.style.color = `color-mix(in srgb, var(${name}) ${part}%, transparent)`
  return window.getComputedStyle(probe).color
}

const points = []
const charts = [...document.querySelectorAll('[data-chart]')].map((section) => {
  return createChart(section, CHARTS[section.dataset.chart])
})

/** Adds points to all charts; with `isWhole`, instead of those that are there. */
export function addPoints (added, isWhole) {
  if (isWhole) points.length = 0
  points.push(...added)
  points.splice(0, points.length - LONGEST_SPAN)
  for (const chart of charts) chart.update()
}

function createChart (section, { series }) {
  const legend = element('div', 'legend')
  const time = element('span', '')
  const values = series.map(({ label, color }) => {
    const value = element('b', '')
    const entry = element('span', 'series', `${label} `, value)
    entry.style.setProperty('--color', `var(${color})`)
    legend.append(entry)
    return value
  })
  legend.prepend(time)
  const place = element('div', 'plot')
  place.role = 'img'
  section.prepend(element('div', 'head', section.querySelector('h2'), legend))
  section.append(place)

  /** Shows the values of one point: the one below the pointer, or the last. */
  const showValues = (index) => {
    const point = points[index ?? points.length - 1]
    if (point === undefined) return
    time.textContent = index == null ? '' : exactClock.format(point.time)
    series.forEach(({ key }, i) => { values[i].textContent = short(point[key]) })
  }

  const plot = new UPlot(optionsFor(place, series, showValues), [[]], place)
  new window.ResizeObserver(() => { plot.setSize(sizeOf(place)) }).observe(place)

  return {
    redraw () { plot.redraw() },
    update () {
      plot.setData([
        points.map((point) => point.time / 1000),
        ...series.map(({ key }) => points.map((point) => point[key]))
      ])
      showValues(plot.cursor.idx)
      const now = series.map(({ label }, i) => `${label} ${values[i].textContent}`).join(', ')
      place.ariaLabel = `The last five minutes. Now: ${now}`
    }
  }
}

function optionsFor (place, series, showValues) {
  const axis = {
    font: FONT,
    stroke: () => colorOf('--faint'),
    grid: { stroke: () => colorOf('--line'), width: 1 },
    ticks: { show: false }
  }
  return {
    ...sizeOf(place),
    legend: { show: false },
    padding: [8, 24, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'time' }, points: { size: 7 } },
    scales: {
      x: { range: () => rangeOfTime() },
      y: { range: (plot, least, most) => [0, Math.max(1, (most ?? 0) * 1.15)] }
    },
    axes: [
      { ...axis, space: 44, incrs: [15, 30, 60, 120], size: 28, values: (plot, times) => times.map(toClock) },
      { ...axis, space: 36, size: 44, values: (plot, numbers) => numbers.map(compact.format) }
    ],
    series: [{}, ...series.map(toSeries)],
    hooks: { setCursor: [({ cursor: { idx, left } }) => { showValues(left < 0 ? null : idx) }] }
  }
}

function toSeries ({ color, isFilled, isBars }) {
  return {
    width: isBars ? 0 : 1.75,
    stroke: () => colorOf(color),
    fill: isFilled || isBars ? () => colorOf(color, isBars ? 100 : 14) : undefined,
    points: { show: false },
    ...(isBars && { paths: UPlot.paths.bars({ size: [0.7, 8], radius: 0.2 }) })
  }
}

function rangeOfTime () {
  if (points.length === 0) return [0, SHORTEST_SPAN]
  const [first, last] = [points[0], points.at(-1)].map(({ time }) => time / 1000)
  const span = Math.min(LONGEST_SPAN, Math.max(SHORTEST_SPAN, last - first))
  return [last - span, last + 0.5]
}

/** Only whole minutes are named. */
function toClock (seconds) {
  return seconds % 60 === 0 ? clock.format(seconds * 1000) : ''
}

function sizeOf ({ clientWidth: width, clientHeight: height }) {
  return { width, height }
}

/** Strings among `children` become text, never markup. */
export function element (tag, className, ...children) {
  const node = document.createElement(tag)
  node.className = className
  node.append(...children)
  return node
}

const darkness = window.matchMedia('(prefers-color-scheme: dark)')
darkness.addEventListener('change', () => { for (const chart of charts) chart.redraw() })
