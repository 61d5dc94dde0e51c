import { describe, expect, it } from '@jest/globals';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { objectKey } from '../../rails/ref.js';
import { s3Error, s3Fault } from './s3.errors.js';

const answer = (name: string, httpStatusCode: number, message = ''): Error =>
  Object.assign(new Error(message), { name, $metadata: { httpStatusCode } });

describe('errors of an S3 client', () => {
  it.each([
    ['a taken key', answer('PreconditionFailed', 412), 'TAKEN'],
    ['a 412 of any name', answer('Whatever', 412), 'TAKEN'],
    ['two conditional puts at once', answer('ConditionalRequestConflict', 409), 'AGAIN'],
    ['an upload that was joined before', answer('NoSuchUpload', 404), 'TAKEN'],
    ['a missing key on GET', answer('NoSuchKey', 404), 'MISSING'],
    ['a missing key on HEAD', answer('NotFound', 404), 'MISSING'],
    ['a missing bucket', answer('NoSuchBucket', 404), 'OTHER'],
    ['an overloaded server', answer('SlowDown', 503), 'AGAIN'],
    ['a damaged upload', answer('BadDigest', 400), 'AGAIN'],
    ['a damaged upload to MinIO', answer('XAmzContentChecksumMismatch', 400), 'AGAIN'],
    ['a full disk', answer('XMinioStorageFull', 507), 'FULL'],
    ['a 507 of any name', answer('Whatever', 507), 'FULL'],
    ['a wrong secret', answer('SignatureDoesNotMatch', 403), 'FORBIDDEN'],
    ['a refused request', answer('InvalidRequest', 400), 'OTHER'],
    ['an answer that broke off', answer('SyntaxError', 200), 'AGAIN'],
    ['a lost connection', Object.assign(new Error('read'), { code: 'ECONNRESET' }), 'AGAIN'],
    ['silence', Object.assign(new Error('late'), { name: 'TimeoutError' }), 'AGAIN'],
    ['an error of another realm', { name: 'Error', code: 'EPIPE', message: 'x' }, 'AGAIN'],
    ['a name that every object has', answer('constructor', 400), 'OTHER'],
    ['no error at all', undefined, 'AGAIN'],
  ])('%s', (_, error, meaning) => {
    expect(s3Fault(error).meaning).toBe(meaning);
  });

  it('become errors of the platform that name the key and keep nothing of the client', () => {
    const secret = 'AKIA-visible-in-the-message';
    const error = s3Error(answer('AccessDenied', 403, secret), 'the put', objectKey('a/b'));
    expect([error.code, error.data]).toEqual([
      'OBJECTS_FORBIDDEN',
      { reason: 'AccessDenied', status: 403, key: 'a/b' },
    ]);
    expect([error.message, error.cause]).toEqual([
      'OBJECTS_FORBIDDEN: the put of a/b failed with AccessDenied (403)',
      undefined,
    ]);
    const own = new ProbityError('OBJECTS_NOT_FOUND', 'x');
    expect(s3Error(own, 'the put')).toBe(own);
  });
});
