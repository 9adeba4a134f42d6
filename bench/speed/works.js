/**
 * The works of the speed benchmark: what the servers do, and which peers are compared.
 *
 *   id           the name on the command line and in the results; title: the name in the report
 *   kind         messages, upgrade or idle: see measure.js
 *   protocol     websocket or http; the peer `tcp` gets the messages of websocket without handshake
 *   handler      the name of a listener in peers/handlers.js, or `pipe`, or `json`
 *   connections  how many the client opens; inFlight: unanswered messages on each of them
 *   size         bytes of a message: random ones, or random letters of the `alphabet`
 *   isJson       the message is a JSON object around random letters
 *   isUnmasked   the masking key is zero, so the server has nothing to unmask
 *   fragments    frames of a message
 *   extension    the permessage-deflate that the client asks for; messages go compressed both ways
 *   replies      messages that the handler sends for each message
 *   earlier      for upgrade and idle: connections that came and went before those that are measured
 *   peers        which servers are measured, by their names in peers/peers.js
 *   reference    the peer that the ratios refer to
 *   target       the ratio that `ours` shall not exceed, or null
 */

import { DEFLATE, DEFLATE_TAKEOVER } from '../lib/deflate.js'

const LISTENER_PEERS = ['tcp', 'bun', 'ws', '@fastify/websocket', 'ours']
const WS_PEERS = ['ws', '@fastify/websocket', 'ours']
const PIPE_PEERS = [
  'tcp', 'ws-stream', 'websocket-stream', 'websocket-stream-objects', 'ours'
]
const PLUGIN_PEERS = ['ws', 'websocket-stream', '@fastify/websocket', 'ours']
const HTTP_PEERS = ['fastify', 'fastify-again', '@fastify/websocket', 'ours']

const JSON_PEERS = ['ours-json-by-hand', 'ours']

const PER_MESSAGE = 'µs of CPU per message'

/**
 * Connections before a measurement. After the first number, V8 has compiled little of the code of an
 * upgrade; after the second, most of it.
 */
const FEW_EARLIER = 500
const MANY_EARLIER = 6_000

/** The usual values. Each work below overrides some of them. */
const ECHO = {
  kind: 'messages',
  protocol: 'websocket',
  handler: 'echo',
  size: 32,
  replies: 1,
  unit: PER_MESSAGE,
  peers: LISTENER_PEERS,
  reference: '@fastify/websocket'
}

const DEFLATED_ECHO = {
  ...ECHO,
  handler: 'text',
  alphabet: 'ascii',
  connections: 16,
  inFlight: 16,
  size: 2048,
  peers: WS_PEERS,
  reference: 'ws',
  target: 1
}

export const works = [
  {
    ...ECHO,
    id: 'echo-16x16',
    title: 'listener echo, 16 connections × 16 in flight, 32 bytes',
    connections: 16,
    inFlight: 16,
    target: 0.145
  },
  {
    ...ECHO,
    id: 'echo-64x64',
    title: 'listener echo, 64 connections × 64 in flight, 32 bytes',
    connections: 64,
    inFlight: 64,
    target: 0.06
  },
  {
    ...ECHO,
    id: 'echo-16kb',
    title: 'listener echo, 4 connections × 4 in flight, 16 kB',
    connections: 4,
    inFlight: 4,
    size: 16 * 1024,
    target: 0.5
  },
  {
    ...ECHO,
    id: 'echo-16kb-zero-key',
    title: 'the same, with a mask of zeros: without the unmasking of ws, which is most of it',
    connections: 4,
    inFlight: 4,
    size: 16 * 1024,
    isUnmasked: true,
    target: null
  },
  {
    ...ECHO,
    id: 'echo-1x1',
    title: 'listener echo, 1 connection × 1 in flight, 32 bytes',
    connections: 1,
    inFlight: 1,
    target: 1
  },
  {
    ...ECHO,
    id: 'text-ascii',
    title: 'text echo, 16 connections × 16 in flight, 32 ASCII letters',
    handler: 'text',
    alphabet: 'ascii',
    connections: 16,
    inFlight: 16,
    target: null
  },
  {
    ...ECHO,
    id: 'text-cyrillic',
    title: 'text echo, 16 connections × 16 in flight, 16 Cyrillic letters',
    handler: 'text',
    alphabet: 'cyrillic',
    connections: 16,
    inFlight: 16,
    target: null
  },
  {
    ...ECHO,
    id: 'fragments',
    title: 'listener echo, 16 connections × 16 in flight, 1 kB in 4 fragments',
    connections: 16,
    inFlight: 16,
    size: 1024,
    fragments: 4,
    peers: WS_PEERS,
    reference: 'ws',
    target: 1
  },
  {
    ...DEFLATED_ECHO,
    id: 'deflate',
    title: 'text echo, 16 connections × 16 in flight, 2 kB of letters, compressed both ways',
    extension: DEFLATE
  },
  {
    ...DEFLATED_ECHO,
    id: 'deflate-takeover',
    title: 'text echo, 16 connections × 16 in flight, 2 kB of letters, with context takeover',
    extension: DEFLATE_TAKEOVER
  },
  {
    ...ECHO,
    id: 'echo-1mb',
    title: 'listener echo, 2 connections × 1 in flight, 1 MiB',
    connections: 2,
    inFlight: 1,
    size: 1024 * 1024,
    peers: WS_PEERS,
    reference: 'ws',
    target: 1
  },
  {
    ...ECHO,
    id: 'replies',
    title: 'twenty replies to a message, 16 connections, 32 bytes',
    handler: 'replies',
    connections: 16,
    inFlight: 1,
    replies: 20,
    unit: 'µs of CPU per reply',
    target: 0.15
  },
  {
    ...ECHO,
    id: 'pipe',
    title: 'pipe echo, 16 connections × 16 in flight, 32 bytes',
    handler: 'pipe',
    connections: 16,
    inFlight: 16,
    peers: PIPE_PEERS,
    // Without objectMode, websocket-stream packs several messages into one frame: fewer frames.
    reference: 'websocket-stream-objects',
    target: 0.13
  },
  {
    ...ECHO,
    id: 'json',
    title: 'echo of JSON with schemas, 16 connections × 16 in flight, 62 bytes',
    handler: 'json',
    isJson: true,
    alphabet: 'ascii',
    connections: 16,
    inFlight: 16,
    size: 62,
    peers: JSON_PEERS,
    reference: 'ours-json-by-hand',
    target: 1.03
  },
  {
    ...ECHO,
    id: 'idle',
    title: 'an idle connection',
    kind: 'idle',
    earlier: FEW_EARLIER,
    unit: 'bytes of heap and external memory',
    peers: PLUGIN_PEERS,
    target: 0.65
  },
  {
    ...ECHO,
    id: 'upgrade',
    title: 'upgrade of a connection',
    kind: 'upgrade',
    earlier: MANY_EARLIER,
    unit: 'µs of CPU per connection',
    peers: PLUGIN_PEERS,
    target: 1.05
  },
  {
    ...ECHO,
    id: 'upgrade-early',
    title: 'the same, in a process that has just started',
    kind: 'upgrade',
    earlier: FEW_EARLIER,
    unit: 'µs of CPU per connection',
    peers: PLUGIN_PEERS,
    target: 1.05
  },
  {
    ...ECHO,
    id: 'http',
    title: 'plain HTTP request to the same app, 16 connections × 8',
    protocol: 'http',
    connections: 16,
    // Pipelined requests need fewer system calls, so the cost of a plugin is a larger part.
    inFlight: 8,
    unit: 'µs of CPU per request',
    peers: HTTP_PEERS,
    reference: 'fastify',
    target: null
  }
]
