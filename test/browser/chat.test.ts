import { browserTest, openChat, startChat } from '../helpers/browser'
import { joinAs, openTab, say, seeComeBack, seeInLog, seeStatus } from '../helpers/chat'

browserTest('two tabs chat, and each knows who is there and who says what', async (t) => {
  const { page: ada } = await openChat(t)
  await joinAs(ada, 'Ada')
  const grace = await openTab(ada)
  await joinAs(grace, 'Grace')
  await seeInLog(ada, 'Grace joined')
  await say(ada, 'Hello, Grace!')
  await seeInLog(grace, 'Hello, Grace!')
  await say(grace, '<b>Hello</b> &amp; good bye')
  await seeInLog(ada, '<b>Hello</b> &amp; good bye')

  const messages = '#log li:has(.bubble)'
  for (const [page, own] of [
    [ada, 'Hello, Grace!'], [grace, '<b>Hello</b> &amp; good bye']
  ] as const) {
    t.equal(await page.locator(messages).count(), 2)
    t.equal(await page.locator('#log .own .bubble').innerText(), own)
  }
  t.same(await ada.locator('#people li').allInnerTexts(), ['A\nAda (you)', 'G\nGrace'])
  t.same(await grace.locator('#people li').allInnerTexts(), ['A\nAda', 'G\nGrace (you)'])
  t.match(await ada.locator(`${messages}:not(.own) .meta`).innerText(), /^Grace, /)

  await grace.close()
  await seeInLog(ada, 'Grace left')
  t.same(await ada.locator('#people li').allInnerTexts(), ['A\nAda (you)'])
})

browserTest('two tabs come back by themselves when the chat starts again', async (t) => {
  const { program, address, page: ada } = await openChat(t)
  const { port } = new URL(address)
  await joinAs(ada, 'Ada')
  const grace = await openTab(ada)
  await joinAs(grace, 'Grace')
  await program.kill()
  for (const page of [ada, grace]) {
    await seeStatus(page, 'Not connected')
    await page.getByText('The connection is lost.').waitFor()
    t.ok(await page.getByRole('button', { name: 'Send' }).isDisabled())
  }
  await ada.getByRole('textbox', { name: 'Message' }).fill('not lost')
  await ada.keyboard.press('Enter')

  await startChat(t, port).address()
  for (const [page, name] of [[ada, 'Ada'], [grace, 'Grace']] as const) {
    await seeStatus(page, `Connected as ${name}`)
    await seeInLog(page, 'Connected again')
    t.ok(await page.getByText('The connection is lost.').isHidden())
  }
  await ada.keyboard.press('Enter')
  await seeInLog(grace, 'not lost')
})

browserTest('"Try now" connects at once, and leaves the focus on the text', async (t) => {
  const { program, address, page } = await openChat(t)
  await joinAs(page, 'Ada')
  // From here on no timer of the page fires.
  await page.clock.install()
  await page.clock.pauseAt(Date.now() + 60_000)
  await program.kill()
  await seeStatus(page, 'Not connected')
  await startChat(t, new URL(address).port).address()
  await page.getByRole('button', { name: 'Try now' }).click()
  await seeStatus(page, 'Connected as Ada')
  t.equal(await page.evaluate('document.activeElement.id'), 'text')
})

browserTest('a tab without network says so, and comes back with it', async (t) => {
  const { page } = await openChat(t)
  await joinAs(page, 'Ada')
  await page.context().setOffline(true)
  await seeStatus(page, 'Not connected')
  await page.context().setOffline(false)
  await seeComeBack(page, 'Ada')
})
