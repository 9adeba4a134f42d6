import type { Page } from 'playwright-core'

/** One more tab of the same profile. */
export async function openTab (page: Page): Promise<Page> {
  const tab = await page.context().newPage()
  await tab.goto(page.url())
  return tab
}

/** Waits until a text is in the log. */
export function seeInLog (page: Page, text: string): Promise<void> {
  return page.getByRole('log').getByText(text, { exact: true }).last().waitFor()
}

/** Waits until the page says so of its connection. */
export function seeStatus (page: Page, text: string): Promise<void> {
  return page.getByRole('status').getByText(text, { exact: true }).waitFor()
}

/**
 * Waits until a page has come back. The process may not have noticed yet that the last connection
 * is gone. It still has the name then, and gives the page another: "Ada 2".
 */
export function seeComeBack (page: Page, name: string): Promise<void> {
  return page.getByRole('status').getByText(new RegExp(`^Connected as ${name}( 2)?$`)).waitFor()
}

/** Joins the chat that `page` shows. */
export async function joinAs (page: Page, name: string): Promise<void> {
  await page.getByLabel('Your name').fill(name)
  await page.getByRole('button', { name: 'Join' }).click()
  await seeStatus(page, `Connected as ${name}`)
}

/** Says something in the chat, and waits until it is there. */
export async function say (page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
  await seeInLog(page, text)
}
