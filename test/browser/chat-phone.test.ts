// The chat on a phone: the last message stays in view when a keyboard opens or the phone turns.
import type { BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { browserTest, openChat } from '../helpers/browser'
import { joinAs, openTab, seeInLog } from '../helpers/chat'

const UPRIGHT = { width: 390, height: 844 }
const TURNED = { width: 844, height: 390 }

const PHONE: BrowserContextOptions = { viewport: UPRIGHT, isMobile: true, hasTouch: true }

/** What happens to the window of a phone, in this order. */
const WINDOWS: ReadonlyArray<[what: string, size: { width: number, height: number }]> = [
  ['a keyboard comes', { width: 390, height: 480 }],
  ['the keyboard goes', UPRIGHT],
  ['the phone is turned', TURNED],
  ['a keyboard comes to the turned phone', { width: 844, height: 170 }],
  ['the phone is turned back, with its keyboard', { width: 390, height: 480 }],
  ['all is as it was', UPRIGHT]
]

/** Whether all fits, and the end of the last message comes into view, within 60 frames. */
const IS_END_IN_VIEW = `new Promise((resolve) => {
  const rectOf = (selector) => document.querySelector(selector).getBoundingClientRect()
  const isInView = () => {
    const { top, bottom } = rectOf('#log')
    const end = rectOf('#log li:last-child').bottom
    const text = rectOf('#text').bottom
    const keyboard = visualViewport.offsetTop + visualViewport.height
    if (document.documentElement.scrollHeight > innerHeight) return false
    return end > top && end <= bottom && bottom < text && text < keyboard
  }
  const check = (frames) => {
    if (isInView() || frames === 0) resolve(isInView())
    else requestAnimationFrame(() => { check(frames - 1) })
  }
  check(60)
})`

/** How far the log is scrolled, in pixels. */
const POSITION = 'document.querySelector("#log").scrollTop'

/** Says something in the chat, without a look at the page, and waits until `reader` has it. */
async function tell (page: Page, reader: Page, ...texts: string[]): Promise<void> {
  await page.evaluate(`for (const text of ${JSON.stringify(texts)}) {
    document.querySelector('#text').value = text
    document.querySelector('#compose').requestSubmit()
  }`)
  await seeInLog(reader, String(texts.at(-1)))
}

/** A chat between Ada, on a phone, and Grace, with more in the log than a phone shows. */
async function openLongChat (t: Test): Promise<{ ada: Page, grace: Page }> {
  const { page: ada } = await openChat(t, PHONE)
  await joinAs(ada, 'Ada')
  const grace = await openTab(ada)
  await joinAs(grace, 'Grace')
  await tell(grace, ada, ...Array(12).fill('what Grace says '.repeat(10)), 'the last')
  await ada.bringToFront()
  return { ada, grace }
}

browserTest('the log shows its end when a keyboard comes, and when the phone turns', async (t) => {
  const { ada, grace } = await openLongChat(t)
  t.ok(await ada.evaluate(IS_END_IN_VIEW))
  for (const [what, size] of WINDOWS) {
    await ada.setViewportSize(size)
    t.ok(await ada.evaluate(IS_END_IN_VIEW), what)
    await tell(grace, ada, what)
    t.ok(await ada.evaluate(IS_END_IN_VIEW), `${what}, and Grace says something`)
  }
  await ada.evaluate(`
    document.querySelector('#room').style.height = '300px'
    document.querySelector('#log').dispatchEvent(new Event('scroll'))`)
  t.ok(await ada.evaluate(IS_END_IN_VIEW), 'the browser scrolls before the page knows its size')
})

browserTest('only a message of their own takes users away from what they read', async (t) => {
  const { ada, grace } = await openLongChat(t)
  await ada.evaluate(`${POSITION} = 0`)
  await tell(grace, ada, 'one more')
  t.equal(await ada.evaluate(POSITION), 0)
  for (const size of [TURNED, UPRIGHT]) {
    await ada.setViewportSize(size)
    await tell(grace, ada, `at ${size.width} pixels`)
    t.equal(await ada.evaluate(POSITION), 0)
  }
  await tell(ada, ada, 'my own')
  t.ok(await ada.evaluate(IS_END_IN_VIEW))
  await tell(grace, ada, 'an answer')
  t.ok(await ada.evaluate(IS_END_IN_VIEW))
})

/** Acts as a keyboard of iOS: it covers a part of the page, whose size stays the same. */
const COVER = `(() => {
  Object.defineProperty(visualViewport, 'height', { value: 400, configurable: true })
  Object.defineProperty(visualViewport, 'offsetTop', { value: 60, configurable: true })
  visualViewport.dispatchEvent(new Event('resize'))
})()`

/** Where the room is, in pixels from the top of the page. */
const ROOM = `(({ top, bottom }) => ({ top, bottom }))(
  document.querySelector('#room').getBoundingClientRect())`

browserTest('where a keyboard covers the page, the room is above it', async (t) => {
  const { ada } = await openLongChat(t)
  t.same(await ada.evaluate(ROOM), { top: 0, bottom: 844 })
  await ada.evaluate(COVER)
  t.same(await ada.evaluate(ROOM), { top: 60, bottom: 460 })
  t.ok(await ada.evaluate(IS_END_IN_VIEW))
  await ada.evaluate(`
    delete visualViewport.height
    delete visualViewport.offsetTop
    visualViewport.dispatchEvent(new Event('resize'))`)
  t.same(await ada.evaluate(ROOM), { top: 0, bottom: 844 })
  t.ok(await ada.evaluate(IS_END_IN_VIEW))
})
