/**
 * The results as an SVG image, drawn without a library: a panel for each work, in two columns, and
 * in it a bar for each peer. The functions go from the whole to the parts: image, panel, bar, text.
 */

import { formatNumber } from '../lib/numbers.js'

const WIDTH = 880
const MARGIN = 28
const COLUMN_GAP = 40
const COLUMNS = 2
const COLUMN_WIDTH = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * COLUMN_GAP) / COLUMNS
const HEADER_HEIGHT = 76
const FOOTER_HEIGHT = 52
const TITLE_HEIGHT = 62
const ROW_HEIGHT = 22
const BAR_HEIGHT = 14
const PANEL_GAP = 26
const LABEL_WIDTH = 194
const VALUE_WIDTH = 54
const BAR_SPACE = COLUMN_WIDTH - LABEL_WIDTH - VALUE_WIDTH
const MIN_BAR = 1.5

// The card has its own background, so the text is readable on a page of any color.
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .card { fill: #ffffff; stroke: #d0d7de; }
  .heading { font-size: 19px; font-weight: 650; }
  .title { font-size: 12.5px; font-weight: 600; }
  .muted { fill: #57606a; font-size: 11.5px; }
  .bar { fill: #b3bcc7; }
  .limit { fill: none; stroke: #8c96a2; stroke-dasharray: 3 2; }
  .ours { fill: #0b7a5b; }
  text.ours { font-weight: 650; }
  .spread { stroke: #24292f; stroke-opacity: 0.55; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .card { fill: #10151c; stroke: #30363d; }
    .muted { fill: #9aa4b0; }
    .bar { fill: #4a5563; }
    .limit { stroke: #7d8896; }
    .ours { fill: #35c99b; }
    .spread { stroke: #e6edf3; }
  }
`

/** Draws results, as results/latest.json has them, and returns the text of the SVG file. */
export function drawChart (results) {
  const { panels, bottom } = layOut(results.works)
  const height = bottom + FOOTER_HEIGHT
  return join([
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
      `viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="heading">`,
    `<style>${STYLE}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${height - 1}" rx="10"/>`,
    `<text id="heading" class="heading" x="${MARGIN}" y="40">What a server pays</text>`,
    text(MARGIN, 60, 'muted', 'Shorter is better. Bar: median; line: lowest to highest run.'),
    ...panels.map(drawPanel),
    ...drawFooter(results, bottom + 18),
    '</svg>'
  ]) + '\n'
}

/** Gives each work its place in a grid whose rows are as high as their highest panel. */
function layOut (works) {
  const panels = []
  let y = HEADER_HEIGHT
  for (let first = 0; first < works.length; first += COLUMNS) {
    const row = works.slice(first, first + COLUMNS)
    row.forEach((work, column) => {
      panels.push({ work, x: MARGIN + column * (COLUMN_WIDTH + COLUMN_GAP), y })
    })
    y += Math.max(...row.map(panelHeight)) + PANEL_GAP
  }
  return { panels, bottom: y }
}

function panelHeight ({ peers }) {
  return TITLE_HEIGHT + peers.length * ROW_HEIGHT
}

function drawPanel ({ work, x, y }) {
  const scale = BAR_SPACE / Math.max(...work.peers.map(({ value }) => value.max))
  const [title, ...conditions] = work.title.split(/[,:] /)
  return join([
    text(x, y + 14, 'title', capitalize(title)),
    ...[conditions.join(', '), work.unit].filter((line) => line !== '')
      .map((line, i) => text(x, y + 30 + 16 * i, 'muted', line)),
    ...work.peers.map((peer, row) => drawPeer(peer, x, y + TITLE_HEIGHT + row * ROW_HEIGHT, scale))
  ])
}

function drawPeer ({ peer, label, value }, x, y, scale) {
  const start = x + LABEL_WIDTH
  const baseline = y + BAR_HEIGHT - 3
  const middle = y + BAR_HEIGHT / 2
  const width = Math.max(MIN_BAR, value.median * scale)
  const [low, high] = [value.min, value.max].map((edge) => round(start + edge * scale))
  return join([
    text(x, baseline, kindOf(peer) === 'ours' ? 'ours' : '', label),
    `<rect class="${kindOf(peer)}" x="${start}" y="${y}" width="${round(width)}" ` +
      `height="${BAR_HEIGHT}" rx="2"/>`,
    `<line class="spread" x1="${low}" y1="${middle}" x2="${high}" y2="${middle}"/>`,
    text(high + 7, baseline, kindOf(peer) === 'ours' ? 'ours' : '', formatNumber(value.median))
  ])
}

function kindOf (peer) {
  if (peer === 'ours') return 'ours'
  return peer === 'tcp' ? 'limit' : 'bar'
}

function drawFooter ({ date, quick, runs, isPinned, machine, versions }, y) {
  const packages = Object.entries(versions)
    .filter(([name]) => name !== 'ws (ours)')
    .map(([name, version]) => `${name} ${version}`)
  const measured = [
    date, `medians of ${runs} ${quick ? 'short ' : ''}runs`,
    isPinned ? 'server and client pinned to a core each' : 'not pinned',
    `Node.js ${machine.node}`, machine.cpu
  ]
  return [
    text(MARGIN, y, 'muted', measured.join(' · ')),
    text(MARGIN, y + 17, 'muted', packages.join(' · '))
  ]
}

function text (x, y, kind, content) {
  const attribute = kind === '' ? '' : ` class="${kind}"`
  return `<text${attribute} x="${round(x)}" y="${round(y)}">${escape(content)}</text>`
}

function escape (content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function capitalize (title) {
  return title[0].toUpperCase() + title.slice(1)
}

function round (value) {
  return Math.round(value * 10) / 10
}

function join (parts) {
  return parts.join('\n')
}
