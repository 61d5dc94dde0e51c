import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { RunningDigest } from '../../rails/digest.js';
import { objectKey, type Ref } from '../../rails/ref.js';
import { Objects, type PutResult } from '../../substrate/objects/objects.port.js';
import { ScratchFile } from './sealing/scratch.js';

const FOLDER = 'engine/sources/';

/** Users' own files, as they were sent, each once under its digest. */
@Injectable()
export class SourceStore {
  constructor(private readonly objects: Objects) {}

  /** Takes a file of any length: its name is its digest, which is known only at its end, so that it waits on the disk until then. */
  async take(bytes: AsyncIterable<Uint8Array>, mediaType: string): Promise<PutResult> {
    const scratch = await ScratchFile.open();
    try {
      const digest = new RunningDigest();
      for await (const piece of bytes) {
        digest.update(piece);
        await scratch.append(piece);
      }
      const expect = digest.finish();
      return await this.objects.putIfAbsent(objectKey(`${FOLDER}${expect}`), scratch.stream(), { mediaType, expect });
    } finally {
      await scratch.close();
    }
  }

  /**
   * The ref of a source as it stands, which is what goes into a seal: whoever asks may call its media type by another name.
   * A source is a file that came in as one: nobody may have the engine read what else is in the store.
   *
   * @throws ProbityError ENGINE_SOURCE_NOT_FOUND
   */
  async demand(source: Ref): Promise<Ref> {
    const standing = source.locator.startsWith(FOLDER) ? await this.objects.head(source.locator) : null;
    if (standing?.digest.hex === source.digest.hex && standing.size === source.size) return standing;
    const says = standing === null ? 'is no uploaded source' : 'has another digest or size';
    throw new ProbityError('ENGINE_SOURCE_NOT_FOUND', `${source.locator} ${says}`, {
      data: { locator: source.locator },
    });
  }
}
