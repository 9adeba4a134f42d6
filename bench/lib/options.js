/**
 * The command line of a benchmark: its options, checked, and its `--help`, from one table.
 *
 * The table has an entry for each option, by its name:
 *
 *   value    what the option takes, for the help: `MiB`. An option without it is a flag
 *   read     turns the text of the command line into the value, and throws if the text is wrong
 *   default  the value without the option; undefined if there is no default
 *   help     what the option does
 */

import { parseArgs } from 'node:util'

const NAME_WIDTH = 22

/**
 * The values of the options by their names. Ends the process after `--help`, and with 1 after a
 * mistake on the command line.
 *
 * @param command how the benchmark is started, for the help
 */
export function readOptions (command, table) {
  const usage = describe(command, table)
  try {
    const texts = parseTexts(table)
    if (!texts.help) return readAll(table, texts)
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`)
    process.exit(1)
  }
  console.log(usage)
  process.exit()
}

function parseTexts (table) {
  const entries = Object.entries(table).map(([name, { value }]) => {
    return [name, value === undefined ? { type: 'boolean', default: false } : { type: 'string' }]
  })
  const help = { type: 'boolean', default: false }
  return parseArgs({ options: { ...Object.fromEntries(entries), help } }).values
}

function readAll (table, texts) {
  return Object.fromEntries(Object.entries(table).map(([name, option]) => {
    return [name, readOne(name, option, texts[name])]
  }))
}

function readOne (name, option, text) {
  if (text === undefined) return option.default
  if (option.value === undefined) return text
  try {
    return option.read(text)
  } catch (error) {
    throw new Error(`--${name}: ${error.message}`)
  }
}

function describe (command, table) {
  const lines = Object.entries(table).map(([name, { value, help, default: fallback }]) => {
    const option = value === undefined ? `--${name}` : `--${name} <${value}>`
    const ending = fallback === undefined ? '' : ` (default: ${fallback})`
    return `  ${option.padEnd(NAME_WIDTH)}  ${help}${ending}`
  })
  return [`${command} -- [options]`, '', ...lines, '  --help', ''].join('\n')
}

/** Reads a whole number from 1. */
export function readCount (text) {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new Error('a whole number from 1 is expected')
  return count
}

/** Reads a number above 0. */
export function readPositive (text) {
  const number = Number(text)
  if (!(number > 0)) throw new Error('a number above 0 is expected')
  return number
}
