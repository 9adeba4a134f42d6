import { browserTest, openChat } from '../helpers/browser'
import { joinAs, openTab, say, seeInLog } from '../helpers/chat'

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

/** The visible texts whose contrast to what is behind them is below 4.5, as WCAG 2 has it. */
const FAINT_TEXTS = `(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = color
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const luminance = (color) => {
    const [red, green, blue] = rgba(color).map((value) => {
      return value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const backgroundOf = (node) => {
    const { backgroundColor } = getComputedStyle(node)
    return rgba(backgroundColor)[3] === 255 ? backgroundColor : backgroundOf(node.parentElement)
  }
  const contrast = (node, pseudo) => {
    const [dark, light] = [getComputedStyle(node, pseudo).color, backgroundOf(node)]
      .map(luminance).sort((one, other) => one - other)
    return (light + 0.05) / (dark + 0.05)
  }
  const isText = ({ nodeType, data }) => nodeType === Node.TEXT_NODE && data.trim() !== ''
  const nodes = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility())
  const texts = nodes.filter((node) => [...node.childNodes].some(isText) && !node.disabled)
  const found = texts.map((node) => [node.textContent, contrast(node)])
  for (const node of document.querySelectorAll('input')) {
    found.push([node.id, contrast(node)], [node.placeholder, contrast(node, '::placeholder')])
  }
  return { count: found.length, faint: found.filter(([, contrast]) => contrast < 4.5) }
})()`

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
