/** Counts of the topics of a registration. All but `subscriptions` only grow. */
export class TopicCounts {
  /** Messages that this process has published. */
  published = 0
  /** Volatile messages that a subscriber was not sent, because it was too far behind. */
  skipped = 0
  /** The present subscriptions: a connection with two topics counts twice. */
  subscriptions = 0
  /** How often messages of other processes may have been lost. */
  gaps = 0
}
