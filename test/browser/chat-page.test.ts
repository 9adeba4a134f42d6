import { browserTest, openChat } from '../helpers/browser'
import { joinAs, openTab, say, seeInLog } from '../helpers/chat'
import { FAINT_TEXTS } from '../helpers/faint-texts'

/** Widths of windows, in pixels: phones, a tablet and a desk. */
const WIDTHS = [320, 360, 412, 640, 641, 1280]

browserTest('the page asks for another name where the server would refuse it', async (t) => {
  const { page } = await openChat(t)
  const name = page.getByLabel('Your name')
  for (const wrong of ['', ' ', '<b>', '_a', 'a\tb']) {
    await name.fill(wrong)
    await page.getByRole('button', { name: 'Join' }).click()
    t.notOk(await page.evaluate('document.querySelector("#name").validity.valid'), wrong)
  }
  t.ok(await page.getByRole('main').isHidden())
  await joinAs(page, "Zoë O'Brien-Šimić 李")
})

/** How far the page, or anything in it, reaches beyond the window, in pixels. */
const OVERFLOW = `Math.max(
  document.documentElement.scrollWidth - innerWidth,
  document.documentElement.scrollHeight - innerHeight)`

browserTest('everything fits and can be read, in any window, light and dark', async (t) => {
  const { program, page } = await openChat(t)
  const check = async (state: string, least: number) => {
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 568 })
      t.ok(Number(await page.evaluate(OVERFLOW)) <= 0, `${state}: ${width} pixels are enough`)
    }
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      const { count, faint } = await page.evaluate<{ count: number, faint: unknown }>(FAINT_TEXTS)
      t.ok(count >= least, `${state}: ${count} texts`)
      t.same(faint, [], `${state}: no text is faint when it is ${colorScheme}`)
    }
  }
  await check('before joining', 5)
  const other = await openTab(page)
  await joinAs(other, 'A name of 24 characters.')
  await joinAs(page, 'Ada')
  await say(page, 'x'.repeat(200))
  await say(other, 'y'.repeat(200))
  await seeInLog(page, 'y'.repeat(200))
  await check('in the chat', 14)
  await program.kill()
  await page.getByRole('button', { name: 'Try now' }).waitFor()
  await check('lost', 15)
})
