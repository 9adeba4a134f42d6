/** What has happened to the topics of a registration. All but `subscriptions` only grow. */
export class TopicCounts {
  /** Messages that this process has published. */
  published = 0
  /** Volatile messages that a subscriber was not sent, because it was too far behind. */
  skipped = 0
  /** Those of now: a connection and one of its topics each. */
  subscriptions = 0
  /** How often messages of other processes may have been lost. */
  gaps = 0
}
