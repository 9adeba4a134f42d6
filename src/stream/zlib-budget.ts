/**
 * How much zlib does in this thread. For a short message that costs less than a thread of zlib. But
 * a chunk can hold ten thousand short messages, and a handler can send to ten thousand connections:
 * the event loop would stand still meanwhile. So each tick has a budget. When it is spent, ws gets
 * the messages, and gives them to a thread.
 */
import { nextTick } from './next-tick'

/** The budget of a tick, in bytes that are not compressed. They take one or two milliseconds. */
const BUDGET = 128 * 1024

/** A call of zlib costs as much as so many bytes, even for an empty message. */
const BYTES_PER_CALL = 1024

let spent = 0

/** Whether the budget of this tick is spent. */
export function isBudgetSpent (): boolean {
  return spent >= BUDGET
}

/** A message was compressed or inflated here. */
export function spendBudget (byteLength: number): void {
  if (spent === 0) nextTick(renew)
  spent += BYTES_PER_CALL + byteLength
}

function renew (): void {
  spent = 0
}
