import { describe, expect, it } from '@jest/globals';
import { Door } from '../support/door.js';
import { onnxBundle, scoredBy } from '../support/onnx-bundle.js';
import { onnxLogistic } from '../support/onnx-file.js';

describe('a platform whose bundle is an ONNX model', () => {
  it('does not start without the package that scores it, and says what to do', async () => {
    const opening = Door.open('embedded', ['all'], scoredBy(onnxBundle(onnxLogistic([1, 1], 0)), null)).then(
      async (door) => {
        await door.close();
        return 'it started';
      },
      (error: unknown) => String(error),
    );
    const said = await opening;
    expect(said).toContain('DF_MODEL_RUNTIME_MISSING');
    expect(said).toContain('npm install --no-save onnxruntime-node');
  }, 60_000);
});
