// The pages of a node, looked at in Chromium as people look at them: light, dark, on a telephone,
// without JavaScript; with axe, with a README that attacks, and under the policy that they are sent.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { skep, VERSIONS, world } from './world.js';

const CHROMIUM = process.env.SKEP_CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
const AXE_RULES = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** Of a page with its style sheet: what a slow line brings in a second. */
const FIRST_VIEW_BYTES_MAX = 30 * 1024;
const FIRST_VIEW_REQUESTS = 2;

const LOOKS = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
  telephone: { colorScheme: 'dark', viewport: { width: 390, height: 844 } },
  'no script': { colorScheme: 'light', viewport: { width: 1280, height: 900 }, javaScriptEnabled: false },
};

/** What is looked at: whose node, which address, which status, which words must be there. */
const PAGES = [
  ['trusted', '/', 200, ['Packages', 'Page 1 of 2', 'trusted here']],
  ['trusted', '/?page=2', 200, ['Page 2 of 2']],
  ['trusted', '/search?q=hook%3Axdp+drop', 200, ['ana/drop']],
  ['trusted', '/search?q=nothing-has-this-word', 200, ['Nothing fits']],
  ['trusted', '/search?q=colour%3Ared', 200, ['Not understood']],
  ['trusted', '/p/ana/drop', 200, ['skep get ana/drop@0.1.25', '"prog_type": "xdp"', 'counts', 'verified by this node', 'An XDP program']],
  ['trusted', '/p/ana/drop?page=2', 200, ['Page 2 of 2', 'it <b>drops</b> too much']],
  ['trusted', '/p/ana/drop/0.1.0', 200, ['yanked', 'it <b>drops</b> too much']],
  ['trusted', '/p/ana/hostile', 200, ["<script>alert('block')</script>", 'user\\u{202e}txt.exe']],
  ['trusted', '/node', 200, ['ana', 'no release that fits', 'trusted mode']],
  ['trusted', '/p/ana/none', 404, ['there is no package']],
  ['trusted', '/nothing/here', 404, ['nothing at this address']],
  ['normal', '/p/ana/drop', 200, ['Normal mode', 'trust not asked']],
  ['stranger', '/', 200, ['not trusted here']],
  ['stranger', '/p/ana/drop', 200, ['not trusted here', 'you do not trust anybody', 'nobody on this node']],
  ['stranger', '/node', 200, ['Peers that are connected: 1', 'is not admitted', 'What this node mirrors']],
];

function whyNot() {
  if (!fs.existsSync(CHROMIUM)) return `there is no Chromium at ${CHROMIUM}: apt-get install chromium`;
  if (!fs.existsSync(skep())) return `there is no ${skep()}: cargo build`;
  const resolve = createRequire(import.meta.url).resolve;
  try {
    resolve('playwright-core');
    resolve('axe-core');
  } catch {
    return 'the packages of the browser tests are not installed: npm ci in testnet/browser';
  }
  return false;
}

const skip = whyNot();
describe('the pages of a node', { skip }, () => {
  let nodes;
  let browser;

  before(async () => {
    const { chromium } = await import('playwright-core');
    nodes = await world();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  });

  after(async () => {
    await browser?.close();
    nodes?.stop();
  });

  /** Opens a page in a context of its own, and tells what happened meanwhile. */
  async function open(look, address, more = {}) {
    const context = await browser.newContext({ ...LOOKS[look], ...more });
    const page = await context.newPage();
    const seen = { requests: [], bytes: 0, trouble: [] };
    page.on('dialog', (dialog) => {
      seen.trouble.push(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') seen.trouble.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => seen.trouble.push(`error: ${error.message}`));
    page.on('request', (request) => seen.requests.push(request.url()));
    page.on('requestfailed', (request) => seen.trouble.push(`failed: ${request.url()}`));
    page.on('response', (response) => {
      const length = Number(response.headers()['content-length'] ?? Number.NaN);
      seen.bytes += length;
    });
    const response = await page.goto(address, { waitUntil: 'load' });
    return { context, page, response, seen };
  }

  /** How far the page is wider than what shows it. */
  const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

  for (const look of Object.keys(LOOKS)) {
    describe(look, () => {
      for (const [whose, at, status, words] of PAGES) {
        test(`${whose} ${at}`, async () => {
          const address = nodes[whose] + at;
          const { context, page, response, seen } = await open(look, address);
          assert.equal(response.status(), status);
          const text = await page.locator('body').innerText();
          for (const word of words) assert.ok(text.includes(word), `it does not say: ${word}`);
          // The browser says by itself that an address was not found.
          const trouble = seen.trouble.filter((it) => status === 200 || !it.includes(String(status)));
          assert.deepEqual(trouble, []);
          const elsewhere = seen.requests.filter((url) => new URL(url).origin !== nodes[whose]);
          assert.deepEqual(elsewhere, []);
          assert.equal(await page.locator('script, iframe, object, embed, base, [onerror], [onload], [style]').count(), 0);
          if (look !== 'no script') assert.ok((await overflow(page)) <= 0, 'it is wider than its window');
          if (process.env.SKEP_SHOTS) {
            const name = `${look}-${whose}${at}`.replaceAll(/[^a-z0-9]+/gi, '-');
            await page.screenshot({ path: path.join(process.env.SKEP_SHOTS, `${name}.png`), fullPage: true });
          }
          await context.close();
        });

        if (look === 'no script') continue;
        test(`axe: ${whose} ${at}`, async () => {
          const { default: axe } = await import('axe-core');
          const { context, page } = await open(look, nodes[whose] + at, { bypassCSP: true });
          await page.evaluate(axe.source);
          const found = await page.evaluate(
            (values) => globalThis.axe.run(document, { runOnly: { type: 'tag', values } }),
            AXE_RULES,
          );
          const violations = found.violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.target.join(' ')).join('; ')}`);
          assert.deepEqual(violations, []);
          // It looked, contrast included.
          assert.ok(found.passes.some((it) => it.id === 'color-contrast'), 'axe saw no text');
          await context.close();
        });
      }
    });
  }

  for (const at of ['/', '/p/ana/drop']) {
    test(`the first view of ${at} is two requests and at most 30 KiB`, async (t) => {
      const { context, page, seen } = await open('light', nodes.trusted + at);
      await page.waitForLoadState('networkidle');
      assert.equal(seen.requests.length, FIRST_VIEW_REQUESTS);
      assert.ok(seen.bytes <= FIRST_VIEW_BYTES_MAX, `${seen.bytes} bytes`);
      t.diagnostic(`${at}: ${seen.bytes} bytes in ${seen.requests.length} requests`);
      await context.close();
    });
  }

  test('without JavaScript the form searches, and a hit is opened', async () => {
    const { context, page } = await open('no script', `${nodes.trusted}/`);
    await page.getByLabel('Search packages').fill('hook:xdp drop');
    await page.getByRole('button', { name: 'Search' }).click();
    assert.equal(page.url(), `${nodes.trusted}/search?q=hook%3Axdp+drop`);
    assert.equal(await page.getByLabel('Search packages').inputValue(), 'hook:xdp drop');
    await page.getByRole('link', { name: 'ana/drop' }).click();
    assert.equal(page.url(), `${nodes.trusted}/p/ana/drop`);
    await context.close();
  });

  test('lists go on to their next page and back', async () => {
    const { context, page } = await open('light', `${nodes.trusted}/p/ana/drop`);
    const versions = () => page.getByRole('region', { name: `${VERSIONS} versions` }).getByRole('rowheader');
    assert.equal(await versions().count(), VERSIONS - 1);
    await page.getByRole('link', { name: 'Next' }).click();
    assert.equal(await versions().count(), 1);
    await page.getByRole('link', { name: 'Previous' }).click();
    assert.equal(await versions().count(), VERSIONS - 1);
    await context.close();
  });

  test('the keyboard reaches the content first, and it is seen where it is', async () => {
    const { context, page } = await open('light', `${nodes.trusted}/p/ana/drop`);
    await page.keyboard.press('Tab');
    const skipLink = page.getByRole('link', { name: 'Skip to content' });
    assert.ok(await skipLink.evaluate((it) => it === document.activeElement));
    assert.ok((await skipLink.boundingBox()).x >= 0, 'the focus is out of sight');
    assert.notEqual(await skipLink.evaluate((it) => getComputedStyle(it).outlineStyle), 'none');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
    await context.close();
  });

  test('at 320 px, as at 400 % on a small screen, nothing scrolls sideways', async () => {
    for (const at of ['/', '/p/ana/drop', '/p/ana/hostile', '/node']) {
      const { context, page } = await open('light', nodes.trusted + at, { viewport: { width: 320, height: 640 } });
      assert.ok((await overflow(page)) <= 0, at);
      await context.close();
    }
  });

  test('on paper there is what is read, and no form', async () => {
    const { context, page } = await open('dark', `${nodes.trusted}/p/ana/drop`);
    await page.emulateMedia({ media: 'print' });
    assert.equal(await page.getByRole('search').isVisible(), false);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(255, 255, 255)');
    await context.close();
  });

  test('of a README only the package’s own picture is loaded, and every link says whose it is', async () => {
    const { context, page, seen } = await open('light', `${nodes.trusted}/p/ana/hostile`);
    await page.waitForLoadState('networkidle');
    const pictures = seen.requests.filter((url) => !url.endsWith('.css') && !url.endsWith('/p/ana/hostile'));
    assert.deepEqual(pictures, [`${nodes.trusted}/p/ana/hostile/1.0.0/files/logo.png`]);
    const picture = page.locator('.readme img');
    assert.ok(await picture.evaluate((it) => it.complete && it.naturalWidth === 1), 'the picture is not shown');
    const links = await page.locator('.readme a').evaluateAll((all) => all.map((it) => [it.protocol, it.rel]));
    assert.ok(links.length > 0);
    for (const [protocol, rel] of links) {
      assert.ok(['http:', 'https:', 'mailto:'].includes(protocol), protocol);
      assert.equal(rel, 'nofollow ugc noopener');
    }
    for (const link of await page.locator('main a').all()) {
      assert.ok(!(await link.getAttribute('href')).toLowerCase().startsWith('javascript'));
    }
    await context.close();
  });

  test('a file of a package is handed over, never shown', async () => {
    for (const file of ['skep.txt', 'logo.png']) {
      const answer = await fetch(`${nodes.trusted}/p/ana/hostile/1.0.0/files/${file}`);
      assert.equal(answer.status, 200);
      assert.match(answer.headers.get('content-disposition'), /^attachment/);
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
      assert.doesNotMatch(answer.headers.get('content-type'), /html|svg|text/);
    }
    const refused = await fetch(`${nodes.stranger}/p/ana/hostile/1.0.0/files/skep.txt`);
    assert.equal(refused.status, 403);
  });

  test('objects that Debian built are shown with what is in them', async (t) => {
    if (nodes.objects.length === 0) return t.skip('libxdp1 is not installed: apt-get install libxdp1');
    for (const name of nodes.objects) {
      const { context, page, response, seen } = await open('light', `${nodes.trusted}/p/ana/${name}`);
      assert.equal(response.status(), 200);
      assert.deepEqual(seen.trouble, []);
      const programs = page.getByRole('region', { name: 'Programs' }).getByRole('rowheader');
      assert.ok((await programs.count()) > 0, `${name} has no program`);
      assert.ok((await overflow(page)) <= 0, name);
      await context.close();
    }
    return undefined;
  });
});
