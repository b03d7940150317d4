// A js-libp2p peer, which shares no code with this project, meets a community node and finds a room:
// identify, gossipsub and Kademlia as protocol/SPEC.md has them (sections 2 and 13), over TCP on loopback.
//
// The peer is told the node's address and nothing else; the room and its host it learns from the network.

import './node20.js'

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { base32 } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'

import { binary, Program } from './program.js'

const KADEMLIA = '/majlis/kad/1.0.0'
const ROOM = '/majlis/room/1'
const IDENTITY = '/majlis/1'
const ROOMS = '/majlis/1/rooms'
const SHA2_256 = 0x12

// All of the test, in milliseconds. It takes seconds; announcements are repeated every minute, so that one which was
// lost on the way still comes in time.
const LIMIT = 120_000

// How often a state that has no event is looked at, in milliseconds.
const POLL = 100

const started = performance.now()

function passed (what) {
  console.log(`ok   ${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${what}`)
}

function check (condition, complaint) {
  if (!condition) throw new Error(complaint)
}

/** Looks until there is something, and returns it. */
async function until (complaint, look, signal) {
  for (;;) {
    const found = await look()
    if (found) return found
    await pause(POLL, null, { signal }).catch(() => { throw new Error(complaint) })
  }
}

/** A peer as the packages' own documentation sets it up, with the names of this protocol. */
function createPeer () {
  return createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: {
      identify: identify(),
      ping: ping(),
      pubsub: gossipsub(),
      // The default mapper forgets loopback addresses.
      dht: kadDHT({ protocol: KADEMLIA, clientMode: true, peerInfoMapper: passthroughMapper })
    }
  })
}

function tcpAddress (listening) {
  const address = listening.addresses.find(address => address.includes('/tcp/'))
  check(address != null, `no TCP address among ${listening.addresses}`)
  return address
}

/** The room id inside its text form: base32 of a version byte and 32 bytes. */
function roomId (text) {
  const bytes = base32.decode(`b${text}`)
  check(bytes.length === 33 && bytes[0] === 1, `not a room id of version 1: ${text}`)
  return bytes.subarray(1)
}

/** The key under which the members of a room provide it: 12 20 and the room key. */
function roomKey (id) {
  const hash = createHash('sha256').update('majlis/1/room-key\0').update(id).digest()
  return CID.createV1(raw.code, Digest.create(SHA2_256, hash))
}

/** Dials, and waits for what identify tells, which the library asks by itself. */
async function dial (peer, address, signal) {
  const id = address.getComponents().findLast(part => part.name === 'p2p').value
  let answer
  const handle = ({ detail }) => { if (detail.peerId.toString() === id) answer = detail }
  peer.addEventListener('peer:identify', handle)
  try {
    await peer.dial(address, { signal })
    return await until(`identify: no answer from ${id}`, () => answer, signal)
  } finally {
    peer.removeEventListener('peer:identify', handle)
  }
}

async function meetsTheNode (peer, address, signal) {
  const answer = await dial(peer, multiaddr(address), signal)
  check(answer.protocolVersion === IDENTITY, `identify: protocol version ${answer.protocolVersion}`)
  check(answer.agentVersion?.startsWith('majlis/'), `identify: agent ${answer.agentVersion}`)
  for (const protocol of [ROOM, KADEMLIA]) {
    check(answer.protocols.includes(protocol), `identify: ${protocol} is not among ${answer.protocols}`)
  }
  passed(`identify: ${answer.agentVersion}, ${answer.protocolVersion}, speaks ${ROOM} and ${KADEMLIA}`)
  return answer.peerId
}

async function joinsTheGossip (peer, node, heard, signal) {
  const { pubsub } = peer.services
  pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic === ROOMS) heard.push(detail)
  })
  pubsub.subscribe(ROOMS)
  await until(`the node is not in our mesh of ${ROOMS}`,
    () => pubsub.getMeshPeers(ROOMS).includes(node.toString()), signal)
  passed(`gossipsub: the node is our neighbour on ${ROOMS}`)
}

async function hearsOfTheRoom (host, id, heard, signal) {
  const message = await until('no announcement of the room came',
    () => heard.find(({ data }) => Buffer.from(data).includes(id)), signal)
  check(message.data[0] === 1, `gossipsub: version byte ${message.data[0]}`)
  check(message.type === 'signed' && message.from.toString() === host,
    `gossipsub: the announcement is not signed by the host but by ${message.from}`)
  passed(`gossipsub: the host's announcement came, ${message.data.length} bytes of version 1 with the room's id`)
}

async function providersOf (peer, key, signal) {
  const found = []
  for await (const provider of peer.contentRouting.findProviders(key, { signal })) found.push(provider)
  return found
}

async function findsTheHost (peer, host, address, id, signal) {
  const provider = await until('the host is not found as provider of the room', async () => {
    const found = await providersOf(peer, roomKey(id), signal)
    return found.find(provider => provider.id.toString() === host)
  }, signal)
  const addresses = provider.multiaddrs.map(String)
  const bare = address.replace(/\/p2p\/.*/, '')
  check(addresses.some(known => known.startsWith(bare)), `Kademlia: ${bare} is not among ${addresses}`)
  passed(`Kademlia: the host provides the room, at ${bare}`)

  const nobody = await providersOf(peer, roomKey(new Uint8Array(32)), signal)
  check(nobody.length === 0, `Kademlia: a room that does not exist has providers: ${nobody.map(p => p.id)}`)
  passed('Kademlia: nobody provides a room that does not exist')

  // The lookup may itself have dialled the host; identify is asked once a connection.
  await peer.hangUp(provider.id, { signal })
  const answer = await dial(peer, multiaddr(address), signal)
  check(answer.protocols.includes(ROOM), `identify: the host does not speak ${ROOM}`)
  passed(`identify: the provider was dialled and speaks ${ROOM}`)
}

async function run (cleanup, signal) {
  check(existsSync(binary()), `there is no ${binary()}: run \`make interop\`, or set MAJLIS_BIN`)
  const start = (...args) => {
    const program = new Program(...args)
    cleanup.push(() => program.stop())
    return program
  }

  const node = start('node', 'node')
  const meeting = tcpAddress(await node.event('listening', signal))
  const peer = await createPeer()
  cleanup.push(() => peer.stop())
  const nodeId = await meetsTheNode(peer, meeting, signal)
  const heard = []
  await joinsTheGossip(peer, nodeId, heard, signal)

  const host = start('host', 'host', 'Interop', '--input', 'tone:440', '--output', 'none', '--bootstrap', meeting)
  const listening = await host.event('listening', signal)
  const room = await host.event('room', signal)
  passed(`majlis host: opened ${room.id}`)
  const id = roomId(room.id)
  await hearsOfTheRoom(listening.peer, id, heard, signal)
  await findsTheHost(peer, listening.peer, tcpAddress(listening), id, signal)
}

const deadline = new AbortController()
const timer = setTimeout(() => deadline.abort(), LIMIT)
// The last resort, should ending hang.
setTimeout(() => process.exit(1), LIMIT + 10_000).unref()
for (const [name, code] of [['SIGINT', 130], ['SIGTERM', 143]]) process.once(name, () => process.exit(code))

const cleanup = []
let code = 0
try {
  await run(cleanup, deadline.signal)
} catch (error) {
  code = 1
  console.error(`FAIL ${deadline.signal.aborted ? `after ${LIMIT / 1000} s: ` : ''}${error.message}`)
}
clearTimeout(timer)
for (const end of cleanup.reverse()) await end().catch(error => console.error(`while ending: ${error.message}`))
console.log(code === 0 ? 'interop: passed' : 'interop: FAILED')
process.exit(code)
