import { defineErrors } from './error.js';

export const BUS_ERRORS = defineErrors({
  BUS_UNAVAILABLE: {
    status: 503,
    retryable: true,
    title: 'The event bus does not answer, and nothing of this call was appended.',
    remedy: 'Retry with backoff; check the bus with `probity doctor`.',
  },
  BUS_APPEND_UNKNOWN: {
    status: 503,
    retryable: false,
    title: 'The answer to an append was lost, so the batch may stand on the bus or not.',
    remedy:
      'Open a new producer of the same name and read the partition from the noted high-water mark before appending again.',
  },
  BUS_PRODUCER_FENCED: {
    status: 409,
    retryable: false,
    title: 'A newer producer of the same name has taken over.',
    remedy: 'Stop this instance: its successor is at work.',
  },
  BUS_PRODUCER_CLOSED: {
    status: 409,
    retryable: false,
    title: 'The producer is finished: it was closed, or the fate of an earlier append is unknown.',
    remedy: 'Open a new producer of the same name; nothing of this call was appended.',
  },
  BUS_TOPIC_UNKNOWN: {
    status: 404,
    retryable: false,
    title: 'The topic or partition does not exist on this bus.',
    remedy: 'Create the topic first; the units declare theirs in the unit table.',
  },
  BUS_TOPIC_MISMATCH: {
    status: 409,
    retryable: false,
    title: 'The topic exists with other settings than those asked for.',
    remedy:
      'Bring the declared partitions and limits in line with the existing topic; partitions are never changed silently.',
  },
  BUS_RECORD_TOO_LARGE: {
    status: 413,
    retryable: false,
    title: 'A record is larger than its topic allows, and nothing of the batch was appended.',
    remedy: 'Put the payload into the object store and send a ref to it.',
  },
  BUS_OUT_OF_RETENTION: {
    status: 410,
    retryable: false,
    title: 'The wanted offset is older than the oldest record that the bus still holds.',
    remedy: 'Rebuild the consumer from the archive, or declare a new start position.',
  },
  BUS_POSITION_BEYOND_LOG: {
    status: 409,
    retryable: false,
    title: 'The stored position lies past the end of the log.',
    remedy: 'The log is not the one that the position was taken from: check which bus this process is connected to.',
  },
  BUS_ABILITY_MISSING: {
    status: 501,
    retryable: false,
    title: 'This bus cannot do what was asked of it.',
    remedy: 'Ask for the optional ability before you use it.',
  },
});
