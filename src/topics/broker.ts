/**
 * Carries topics from process to process: through Redis, NATS, or a broker that an application
 * writes. A method may return a promise. If a method throws or rejects, the code that publishes
 * gets no exception: the promise of its call rejects with FST_WS_BROKER, and the failure is logged.
 *
 * `subscribe` and `unsubscribe` for one topic are called one after the other, so a promise of them
 * must settle. A `subscribe` that fails is called again later.
 *
 * When `subscribe` has succeeded, the broker keeps the subscription until `unsubscribe` is called:
 * after an outage it subscribes again by itself. If it cannot, it tells so with `report`, and
 * forgets the topic. Then `subscribe` is called again.
 */
export interface TopicBroker {
  /**
   * Called once, before any other method. Messages may come from then on. A rejection makes
   * `fastify.ready()` fail; a server that is only out of reach is a case for `report`.
   *
   * @param receive takes each message of the topics that are subscribed, as it was published
   * @param report takes the errors that belong to no call. With the name of a topic, the error says
   * that the subscription of this topic is lost
   * @param gap says that messages may have been lost, and that all subscriptions are there again,
   * except those that are lost
   */
  open (
    receive: (topic: string, bytes: Uint8Array) => void,
    report: (error: Error, lost?: string) => void,
    gap: () => void
  ): unknown
  /** Publishes to all processes. This one gets it as well if it has subscribed. */
  publish (topic: string, bytes: Uint8Array): unknown
  /** This process has the first subscriber of a topic. */
  subscribe (topic: string): unknown
  /** This process has lost the last subscriber of a topic. */
  unsubscribe (topic: string): unknown
  /** Closes connections that the broker has opened, but none that the application gave it. */
  close (): unknown
}
