// Starts the program under test and reads its `--json` events.
//
// Invariant: every process that was started is ended, by its id, whichever way the test ends.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const REPOSITORY = resolve(import.meta.dirname, '../..')

// How long a process may take to leave its room after an interrupt, before it is killed, in milliseconds.
const FAREWELL = 5_000

// How many of a process's last lines on stderr are kept for the report of a failure.
const LAST_LINES = 20

// Loopback only, and both transports: the host and the node may use QUIC between them, this peer has TCP.
const LOOPBACK = [
  '--listen', '/ip4/127.0.0.1/tcp/0', '--listen', '/ip4/127.0.0.1/udp/0/quic-v1', '--mdns', 'off', '--json'
]

const running = new Set()

// Whatever ends this script, even an exception between two events, leaves no process and no folder behind.
process.on('exit', () => {
  for (const program of running) {
    program.child.kill('SIGKILL')
    rmSync(program.home, { recursive: true, force: true })
  }
})

/** Where the program is: `MAJLIS_BIN`, else where cargo puts it. */
export function binary () {
  const target = resolve(REPOSITORY, process.env.CARGO_TARGET_DIR || 'target')
  return resolve(process.env.MAJLIS_BIN || join(target, 'debug', 'majlis'))
}

/** A running `majlis` with a home of its own. */
export class Program {
  #events = []
  #waiting = new Set()
  #ended = null

  /** Starts `majlis ARGUMENTS`; `name` is what failures call it. */
  constructor (name, ...args) {
    this.name = name
    this.home = mkdtempSync(join(tmpdir(), 'majlis-interop-'))
    this.stderr = []
    this.child = spawn(binary(), [...args, '--home', this.home, ...LOOPBACK], {
      stdio: ['ignore', 'pipe', 'pipe']
    })
    running.add(this)
    createInterface({ input: this.child.stdout }).on('line', line => this.#handleLine(line))
    createInterface({ input: this.child.stderr }).on('line', line => {
      this.stderr.push(line)
      this.stderr.splice(0, this.stderr.length - LAST_LINES)
    })
    this.child.on('error', error => this.#handleEnd(error.message))
    this.child.on('exit', (code, signal) => this.#handleEnd(`it ended with ${signal ?? `exit code ${code}`}`))
  }

  /** The first event of this kind, past or future. */
  event (kind, signal) {
    const found = this.#events.find(event => event.event === kind)
    if (found != null) return Promise.resolve(found)
    if (this.#ended != null) return Promise.reject(this.#failure(kind, this.#ended))
    return new Promise((resolve, reject) => {
      const wait = { kind, resolve, reject }
      this.#waiting.add(wait)
      signal.addEventListener('abort', () => {
        this.#waiting.delete(wait)
        reject(this.#failure(kind, 'time is up'))
      }, { once: true })
    })
  }

  /** Interrupts the process as Ctrl-C does, waits for its end, and removes its home. */
  async stop () {
    const { pid, exitCode, signalCode } = this.child
    if (pid != null && exitCode == null && signalCode == null) {
      const exit = once(this.child, 'exit')
      this.child.kill('SIGINT')
      const timer = setTimeout(() => this.child.kill('SIGKILL'), FAREWELL)
      await exit
      clearTimeout(timer)
    }
    running.delete(this)
    rmSync(this.home, { recursive: true, force: true })
  }

  #handleLine (line) {
    let event
    try {
      event = JSON.parse(line)
    } catch {
      return this.#handleEnd(`it printed what is no JSON: ${line}`)
    }
    // Statistics come every second and nobody waits for them.
    if (event.event === 'stats') return
    this.#events.push(event)
    for (const wait of this.#waiting) {
      if (wait.kind !== event.event) continue
      this.#waiting.delete(wait)
      wait.resolve(event)
    }
  }

  #handleEnd (reason) {
    this.#ended ??= reason
    for (const wait of this.#waiting) wait.reject(this.#failure(wait.kind, reason))
    this.#waiting.clear()
  }

  #failure (kind, reason) {
    const said = this.stderr.map(line => `\n    ${this.name}: ${line}`).join('')
    return new Error(`${this.name}: no event "${kind}": ${reason}${said}`)
  }
}
