import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Objects } from '../../../substrate/objects/objects.port.js';
import type { ImportInvocation } from '../data-engine.port.js';
import type { RowSink, WorldSource } from '../world-source.js';
import { openMapped } from './mapped-rows.js';
import { checkMapping, missingColumns } from './mapper.core.js';
import { asMapping, type Mapping } from './mapping.schema.js';
import { timeReader } from './times.core.js';
import { zoneTimes } from './zone.js';

/**
 * The mapping of these parameters, checked as far as it can be without the file.
 * @throws ProbityError ENGINE_MAPPING_INVALID that names the place
 */
export function checkedMapping(parameters: ImportInvocation['parameters']): Mapping {
  const mapping = asMapping(parameters);
  checkMapping(mapping);
  timeReader(mapping.time.format, zoneTimes(mapping.time.zone ?? 'UTC', mapping.time.ambiguous ?? 'earlier'));
  return mapping;
}

/** A user's own file as a world: its rows mapped to transactions, its labels as a truth product of their own. */
export function importSource(objects: Objects, invocation: ImportInvocation): WorldSource {
  const mapping = checkedMapping(invocation.parameters);
  return {
    kind: 'import',
    async produce(sink: RowSink) {
      const file = await openMapped(objects, invocation.source, mapping, (columns) => demandColumns(mapping, columns));
      let total = 0;
      for await (const { rows, rejects, rowsRead, shareRead } of file.batches) {
        sink.signal.throwIfAborted();
        await sink.traffic(rows);
        if (rejects.length > 0) await sink.rejects(rejects);
        total = rowsRead;
        sink.progress('reading', rowsRead, Math.min(1, shareRead));
      }
      return { rowsRead: total, rejectedShareMax: mapping.rejected_share_max ?? 0 };
    },
  };
}

/** A column that the whole file lacks is the mapping's fault, and no world is made of it. */
function demandColumns(mapping: Mapping, columns: readonly string[]): void {
  // Lines of JSON have no header: whether a member is missing, each row shows.
  if (mapping.format === 'ndjson') return;
  const missing = missingColumns(mapping, columns);
  if (missing.length === 0) return;
  const list = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(', ');
  throw new ProbityError(
    'ENGINE_MAPPING_INVALID',
    `the file has no column ${list(missing)}; it has ${list(columns).slice(0, 2_000)}`,
  );
}
