import { Injectable } from '@nestjs/common';
import type { JsonObject } from '../../rails/canonical-json.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { asGateReceipt, demandPass } from '../../rails/gate.js';
import type { ManifestFingerprint } from '../../rails/pins.js';
import type { Ref } from '../../rails/ref.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import {
  OUTPUT_GATE,
  OutputIndexSchema,
  outputScope,
  sealKey,
  type WorldSeal,
  WorldSealSchema,
} from './data-engine.port.js';

const seals = validatorOf(WorldSealSchema, 'the seal');
const indexes = validatorOf(OutputIndexSchema, 'the index');

export interface FoundWorld {
  readonly ref: Ref;
  readonly seal: WorldSeal;
}

export interface RowsPage {
  readonly output_id: string;
  readonly rows: readonly { readonly number: number; readonly row: JsonObject }[];
  /** Pass it as `after` for the next page; absent at the end. */
  readonly next?: number;
}

/** Reads sealed worlds: every byte is checked against the ref that led to it. */
@Injectable()
export class WorldReader {
  constructor(private readonly objects: Objects) {}

  /** Null while no seal stands. @throws ProbityError OBJECTS_DIGEST_MISMATCH */
  async find(fingerprint: ManifestFingerprint): Promise<FoundWorld | null> {
    const ref = await this.objects.head(sealKey({ manifest_fingerprint: fingerprint }));
    return ref === null ? null : { ref, seal: await this.#document(ref, seals) };
  }

  /** @throws ProbityError ENGINE_WORLD_NOT_FOUND */
  async demand(fingerprint: ManifestFingerprint): Promise<FoundWorld> {
    const found = await this.find(fingerprint);
    if (found === null) throw new ProbityError('ENGINE_WORLD_NOT_FOUND', `no seal stands for ${fingerprint}`);
    return found;
  }

  /**
   * Rows of an output for people, from the one behind `after` on. Law R3 holds for people, too: what did not pass its gate is
   * not shown as if it had. What was rejected is evidence, and stays readable whatever the verdict.
   *
   * @throws ProbityError ENGINE_WORLD_NOT_FOUND, ENGINE_OUTPUT_NOT_FOUND, GATE_NOT_PASSED
   */
  async rows(fingerprint: ManifestFingerprint, outputId: string, after: number, limit: number): Promise<RowsPage> {
    const { seal } = await this.demand(fingerprint);
    const output = seal.outputs.find(({ output_id }) => output_id === outputId);
    if (output === undefined) {
      const names = seal.outputs.map(({ output_id }) => output_id).join(', ');
      throw new ProbityError('ENGINE_OUTPUT_NOT_FOUND', `the world has the outputs ${names}`);
    }
    if (output.role !== 'audit_evidence') {
      const receipt = asGateReceipt(JSON.parse((await this.objects.read(output.receipt)).toString('utf8')));
      demandPass(receipt, output.index, { gate_id: OUTPUT_GATE, scope: outputScope(seal.pins, outputId) });
    }
    const { parts, rows: all } = await this.#document(output.index, indexes);
    const from = after + 1;
    const until = Math.min(all, from + limit);
    const rows: { number: number; row: JsonObject }[] = [];
    for (const { ref, first_row, rows: count } of parts) {
      if (first_row + count <= from || first_row >= until) continue;
      const lines = (await this.objects.read(ref)).toString('utf8').split('\n');
      for (let number = Math.max(from, first_row); number < Math.min(until, first_row + count); number += 1) {
        rows.push({ number, row: JSON.parse(lines[number - first_row] ?? '') as JsonObject });
      }
    }
    return { output_id: outputId, rows, ...(until < all ? { next: until - 1 } : {}) };
  }

  async #document<Value>(ref: Ref, validator: Validator<Value>): Promise<Value> {
    return validator.demand(JSON.parse((await this.objects.read(ref)).toString('utf8')));
  }
}
