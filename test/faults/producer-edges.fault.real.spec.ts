import { describe, it } from '@jest/globals';
import { demanded } from '../support/kafka.js';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { consumeUnderKills } from './producer-edges.kills.js';

describe('a source of an edge on Kafka, under kill -9', () => {
  const seed = faultSeed();

  it(
    `admits each record once and counts it once (seed ${seed})`,
    async () => {
      demanded('KAFKA_BROKERS', 'the brokers of a Kafka that this test may fill, as host:port,host:port');
      await consumeUnderKills({
        seed,
        records: FULL ? 30_000 : 6_000,
        kills: FULL ? 10 : 2,
        topic: `shop.payments.${seed}.${process.pid}`,
        prepare: (profile) => {
          const bus = 'bus:\n  kind: kafka\n  brokers: { env: KAFKA_BROKERS }\n  tls: false\n  replication_factor: 1';
          profile.edit(profile.wiring, 'bus:\n  kind: embedded', bus);
          // As the profile for real servers has them: another suite may have made the traffic topic on the same broker.
          const topics = '{ partitions: 6, retention_ms: 604800000 }';
          profile.edit(profile.wiring, '{ partitions: 4, retention_ms: null }', topics);
        },
      });
    },
    FULL ? 900_000 : 300_000,
  );
});
