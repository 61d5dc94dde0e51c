import { setImmediate } from 'node:timers/promises';
import { type JsonObject } from '../../../rails/canonical-json.js';
import { type GenerateInvocation } from '../data-engine.port.js';
import { type RowSink, type WorldSource } from '../world-source.js';
import { packOf } from './pack.core.js';
import { World } from './world.js';

/**
 * A world of payments from a seed and a parameter pack: traffic, and as truth products `labels` (late, incomplete, partly
 * wrong), `fraud_transactions` (which payments belong to which process), `fraud_processes` and `rings`.
 *
 * The same invocation gives the same rows in the same order on any machine, Node version, time zone and locale.
 * @throws ProbityError ENGINE_PARAMETERS_INVALID
 */
export function generatorSource(invocation: GenerateInvocation): WorldSource {
  const pack = packOf(invocation.parameters);
  const { seed } = invocation;

  async function produce(sink: RowSink): Promise<{ rowsRead: number; rejectedShareMax: number }> {
    let rows = 0;
    for (const [batch, days] of new World(seed, pack).batches()) {
      sink.signal.throwIfAborted();
      rows += batch.traffic.length;
      if (batch.traffic.length > 0) await sink.traffic(batch.traffic);
      if (batch.labels.length > 0) await sink.labels(batch.labels);
      const truths = [
        ['fraud_transactions', batch.fraudTransactions],
        ['fraud_processes', batch.fraudProcesses],
        ['rings', batch.rings],
      ] as const;
      for (const [outputId, truth] of truths) {
        if (truth.length > 0) await sink.other(outputId, 'truth_products', truth);
      }
      sink.progress('generating', rows, days / pack.window.days);
      // A sink that never waits would otherwise keep the program from everything else until the world is made.
      await setImmediate();
    }
    return { rowsRead: rows, rejectedShareMax: 0 };
  }

  return { kind: 'generate', produce };
}

/** @throws ProbityError ENGINE_PARAMETERS_INVALID that names the place */
export function checkPack(parameters: JsonObject): void {
  packOf(parameters);
}
