// Two real nodes on loopback, and what they have: packages of the project's own object, of objects
// that Debian built where they are installed, and one whose author attacks whoever looks.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const demo = path.join(root, 'cli/demo');
/** One more than a page of the list has. */
const PACKAGES_MIN = 26;
/** One more than a page of versions has. */
export const VERSIONS = 26;
/** Where Debian's libxdp1 puts its objects, below a folder of the architecture. */
const OBJECTS = /^(xdp|xsk)[a-z0-9_.-]*\.o$/;

/** A picture of one pixel. */
const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

export function skep() {
  return process.env.SKEP_BIN ?? path.join(root, 'target/debug/skep');
}

/** Objects of Debian's libxdp1 that are on this machine. */
export function debianObjects() {
  const lib = '/usr/lib';
  const folders = fs.existsSync(lib) ? fs.readdirSync(lib).map((name) => path.join(lib, name, 'bpf')) : [];
  return folders
    .filter((folder) => fs.existsSync(folder))
    .flatMap((folder) => fs.readdirSync(folder).filter((name) => OBJECTS.test(name)).map((name) => path.join(folder, name)))
    .sort();
}

class Home {
  constructor(dir, name, gateways) {
    this.dir = path.join(dir, name);
    this.name = name;
    this.gateways = gateways;
    fs.mkdirSync(this.dir);
    const lines = gateways.map(({ port, mode }) => `{ listen = "127.0.0.1:${port}", mode = "${mode}" }`);
    fs.writeFileSync(
      path.join(this.dir, 'config.toml'),
      `listen = ["127.0.0.1:0"]\nmdns = false\ngateway = [${lines.join(', ')}]\n`,
    );
  }

  environment() {
    const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('SKEP_'));
    return {
      ...Object.fromEntries(clean),
      SKEP_HOME: this.dir,
      SKEP_PASSPHRASE: '',
      SKEP_YES: '1',
      USER: this.name,
    };
  }

  run(...args) {
    const settings = { cwd: this.dir, env: this.environment(), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
    return execFileSync(skep(), args, settings).trim();
  }

  start() {
    const log = fs.openSync(path.join(this.dir, 'node.log'), 'w');
    this.node = spawn(skep(), ['node', 'run'], { cwd: this.dir, env: this.environment(), stdio: ['ignore', 'ignore', log] });
    fs.closeSync(log);
    this.run('node', 'status', '--wait', '30');
  }

  stop() {
    this.node?.kill('SIGKILL');
  }

  /** A package of the demo's object. */
  package(name, version, description, more = '', files = {}) {
    const dir = path.join(this.dir, name);
    fs.rmSync(dir, { recursive: true, force: true });
    fs.mkdirSync(dir);
    for (const file of ['drop.bpf.o', 'README.md', 'LICENSE']) {
      fs.copyFileSync(path.join(demo, file), path.join(dir, file));
    }
    for (const [file, bytes] of Object.entries(files)) {
      fs.writeFileSync(path.join(dir, file), bytes);
    }
    const toml = [
      '[package]',
      `name = "${name}"`,
      `version = "${version}"`,
      'license = "GPL-2.0-only OR BSD-2-Clause"',
      `description = ${JSON.stringify(description)}`,
      more,
      '[[object]]',
      'file = "drop.bpf.o"',
    ];
    fs.writeFileSync(path.join(dir, 'skep.toml'), `${toml.join('\n')}\n`);
    return dir;
  }
}

async function freePort() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Makes everything; `stop` takes it away. */
export async function world() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'skep-browser-'));
  const ports = await Promise.all([0, 1, 2].map(freePort));
  const ana = new Home(dir, 'ana', [{ port: ports[0], mode: 'trusted' }, { port: ports[1], mode: 'normal' }]);
  const ben = new Home(dir, 'ben', [{ port: ports[2], mode: 'trusted' }]);
  const stop = () => {
    ana.stop();
    ben.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  };
  try {
    ana.run('publish', ana.package('drop', '0.1.0', 'Counts packets, and drops some'));
    ana.start();
    for (let patch = 1; patch < VERSIONS; patch += 1) {
      ana.run('publish', ana.package('drop', `0.1.${patch}`, 'Counts packets, and drops some'));
    }
    ana.run('publish', '--yank', 'ana/drop@0.1.0', '--because', 'it <b>drops</b> too much');
    hostile(ana);
    const objects = debian(ana);
    for (let count = objects.length + 2; count < PACKAGES_MIN; count += 1) {
      ana.run('publish', ana.package(`filler-${count}`, '1.0.0', 'One more, so that a list has two pages'));
    }
    ben.start();
    ben.run('repo', 'add', ana.run('repo', 'ticket', 'ana'));
    const base = ports.map((port) => `http://127.0.0.1:${port}`);
    ben.run('mirror', 'add', 'ana/drop', '--newest', '1');
    // Refused: the release is not there, and what is there is not trusted.
    await fetch(`${base[0]}/l3afd/ana/drop/9.9.9/jammy/drop.tar.gz`);
    await fetch(`${base[2]}/l3afd/ana/drop/0.1.1/jammy/drop.tar.gz`);
    return { trusted: base[0], normal: base[1], stranger: base[2], objects, stop };
  } catch (error) {
    stop();
    throw error;
  }
}

/** A package whose every text is an attempt. */
function hostile(home) {
  const more = [
    'homepage = "javascript:alert(\'homepage\')"',
    'documentation = "https://attacker.example/\\"onclick=\\"alert(1)"',
    'authors = ["<img src=x onerror=alert(\'author\')>"]',
    'keywords = ["</dd><script>alert(\'keyword\')</script>"]',
    'include = ["logo.png", "skep.txt"]',
  ];
  const readme = fs.readFileSync(path.join(here, 'corpus/README.md'));
  const files = { 'README.md': readme, 'logo.png': PIXEL, 'skep.txt': '<script>alert("file")</script>' };
  const dir = home.package('hostile', '1.0.0', '"><script>alert(\'description\')</script>', more.join('\n'), files);
  home.run('publish', dir);
}

/** A package of each of Debian's objects; the names of those that could be published. */
function debian(home) {
  const published = [];
  for (const object of debianObjects()) {
    const name = path.basename(object, '.o').replaceAll(/[^a-z0-9]+/g, '-');
    home.run('new', name, '--from', object);
    home.run('publish', path.join(home.dir, name));
    published.push(name);
  }
  return published;
}
