// A person's walk through the pages in a real browser: map, a service, its traces, one trace, its logs, alerts; in
// both themes, with an accessibility check of each page. Any script error or failed request fails the walk.
//
// Usage: node walk.mjs BASE_URL CHROMIUM   (TRACELAKE_SHOTS=folder keeps a screenshot of each step)
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [base, executablePath] = process.argv.slice(2);
const shots = process.env.TRACELAKE_SHOTS;
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE_MS = 20_000;

const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const faults = [];

/** A fresh page in one theme that notes every error. */
async function open(colorScheme) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme, bypassCSP: true });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', error => faults.push(`script error: ${error.message}`));
  page.on('response', answer => {
    if (answer.status() >= 400) faults.push(`${answer.status()} ${answer.url()}`);
  });
  return page;
}

async function keep(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

async function checkAccess(page, name) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'] }));
  for (const { id, nodes } of violations) faults.push(`${name}: ${id}: ${nodes.map(node => node.target.join(' ')).slice(0, 3).join('; ')}`);
}

function must(condition, what) {
  if (!condition) throw new Error(what);
}

/** Clicks a service on the canvas itself, where a person sees it. */
async function clickOnMap(page, name) {
  const twin = page.getByTestId(`map-node-${name}`);
  await twin.waitFor();
  await page.waitForTimeout(300);
  const { x, y } = await page.getByTestId('map').boundingBox();
  await page.mouse.click(x + Number(await twin.getAttribute('data-x')), y + Number(await twin.getAttribute('data-y')));
}

async function walk(colorScheme) {
  const page = await open(colorScheme);
  await page.goto(base);
  await clickOnMap(page, 'checkout');
  const panel = page.getByTestId('node-panel');
  await panel.waitFor();
  must((await panel.innerText()).includes('checkout'), 'the panel does not name the service that was clicked');
  await keep(page, `map-selected-${colorScheme}`);
  await checkAccess(page, `map ${colorScheme}`);

  // Nothing was there an hour ago, so everything is new; then back in time by a step, and live again.
  await panel.getByRole('button', { name: 'Close details' }).click();
  await page.getByTestId('compare').selectOption('before');
  const changes = page.getByTestId('changes');
  await changes.getByText('checkout').first().waitFor();
  must((await changes.innerText()).includes('new'), 'the comparison names nothing new');
  await keep(page, `map-compared-${colorScheme}`);
  await checkAccess(page, `map compared ${colorScheme}`);
  await page.getByTestId('compare').selectOption('');
  await page.getByTestId('timeline').focus();
  await page.keyboard.press('ArrowLeft');
  await page.waitForURL(/start=/);
  await keep(page, `map-earlier-${colorScheme}`);
  await page.getByRole('button', { name: 'Live' }).click();
  await page.waitForURL(address => !address.searchParams.has('start'));
  await clickOnMap(page, 'checkout');
  await panel.waitFor();

  await panel.getByRole('link', { name: 'Traces', exact: true }).click();
  const row = page.getByTestId('trace-row').first();
  await row.waitFor();
  await keep(page, `traces-${colorScheme}`);
  await checkAccess(page, `traces ${colorScheme}`);
  await row.click();
  await page.getByTestId('waterfall').waitFor();
  const spans = page.getByTestId('span-row');
  await spans.first().waitFor();
  must((await spans.count()) > 3, 'the waterfall shows hardly any spans');
  await page.getByTestId('findings').waitFor();
  must((await page.getByTestId('findings').innerText()).trim() !== '', 'the trace does not say whether it is complete');
  const path = page.getByTestId('critical-path');
  await page.locator('[data-testid=critical-path][aria-pressed=true]').waitFor();
  await path.click();
  await page.waitForURL(address => address.searchParams.get('path') === 'off');
  must((await path.getAttribute('aria-pressed')) === 'false', 'the critical path cannot be switched off');
  await path.click();
  await page.waitForURL(address => !address.searchParams.has('path'));
  await spans.nth(1).click();
  const spanPanel = page.getByTestId('span-panel');
  await spanPanel.waitFor();
  for (const figure of ['Self time', 'Critical path']) must((await spanPanel.innerText()).includes(figure), `the span's panel lacks: ${figure}`);
  await keep(page, `trace-${colorScheme}`);
  await checkAccess(page, `trace ${colorScheme}`);
  await spanPanel.getByRole('button', { name: 'Close details' }).click();
  await page.getByTestId('service-times').locator('tbody tr').first().waitFor();
  await keep(page, `trace-whole-${colorScheme}`);
  await checkAccess(page, `trace whole ${colorScheme}`);

  const id = new URL(page.url()).pathname.split('/').pop();
  await page.goto(`${base}/logs?trace_id=${id}&last=1h`);
  await page.getByTestId('log-row').first().waitFor();
  await keep(page, `logs-of-trace-${colorScheme}`);
  await page.goto(`${base}/logs`);
  await page.getByTestId('log-row').first().waitFor();
  await keep(page, `logs-${colorScheme}`);
  await checkAccess(page, `logs ${colorScheme}`);

  await page.goto(`${base}/alerts`);
  await page.getByTestId('alert-row').first().waitFor();
  await keep(page, `alerts-${colorScheme}`);
  await checkAccess(page, `alerts ${colorScheme}`);
  await page.context().close();
}

/** The map as the README shows it: nothing selected. */
async function portrait() {
  const page = await open('light');
  await page.goto(base);
  await page.getByTestId('map-node-checkout').waitFor();
  await page.waitForTimeout(500);
  await keep(page, 'map');
  await page.context().close();
}

try {
  await walk('light');
  await walk('dark');
  await portrait();
} catch (error) {
  faults.push(String(error));
} finally {
  await browser.close();
}
for (const fault of faults) console.log(fault);
console.log(`two themes, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
