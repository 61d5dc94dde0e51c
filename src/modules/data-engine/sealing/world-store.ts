import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Ref } from '../../../rails/ref.js';
import type { Objects } from '../../../substrate/objects/objects.port.js';
import { worldKey, type WorldPins } from '../data-engine.port.js';

/** The objects of one world, written once each. */
export class WorldStore {
  constructor(
    private readonly objects: Objects,
    private readonly pins: WorldPins,
    private readonly signal: AbortSignal,
  ) {}

  /**
   * Puts an object of this world, or finds the very same bytes there: from an attempt that was killed, or from another
   * process that makes the same world. Other bytes under its name mean that the same identity gave another world.
   *
   * @throws ProbityError ENGINE_NOT_DETERMINISTIC that names the object
   */
  async put(rest: string, bytes: Uint8Array, mediaType: string): Promise<Ref> {
    this.signal.throwIfAborted();
    const key = worldKey(this.pins, rest);
    const { outcome, ref, offered } = await this.objects.putIfAbsent(key, bytes, { mediaType });
    if (outcome !== 'CONFLICT') return ref;
    throw new ProbityError(
      'ENGINE_NOT_DETERMINISTIC',
      `${key} stands with the digest ${ref.digest.hex} and came out as ${offered}`,
      { data: { key, standing: ref.digest.hex, offered } },
    );
  }
}
