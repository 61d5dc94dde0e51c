import { describe, expect, it } from '@jest/globals';
import { ANONYMOUS_ACTOR, asActor, humanActor, systemActor } from './actor.js';

describe('an actor', () => {
  it('is a unit, a producer, a person or nobody in particular', () => {
    expect(systemActor('ig')).toEqual({ actor_id: 'SYSTEM::ig', source_type: 'SYSTEM', auth_mode: 'NONE' });
    expect(systemActor('issuer/client-7', 'OIDC')).toMatchObject({
      actor_id: 'SYSTEM::issuer/client-7',
      auth_mode: 'OIDC',
    });
    expect(humanActor('ana@example.org', 'OIDC')).toEqual({
      actor_id: 'HUMAN::ana@example.org',
      source_type: 'HUMAN',
      auth_mode: 'OIDC',
    });
    for (const actor of [systemActor('ig'), humanActor('ana', 'API_KEY'), ANONYMOUS_ACTOR]) {
      expect(asActor(JSON.parse(JSON.stringify(actor)))).toEqual(actor);
    }
  });

  it.each(['', 'a b', 'a\nb', 'é', 'x'.repeat(241)])('is not called %j', (id) => {
    expect(() => systemActor(id)).toThrow('VALUE_INVALID');
    expect(() => humanActor(id, 'OIDC')).toThrow('VALUE_INVALID');
  });

  it.each([
    ['a person who is a system', { actor_id: 'SYSTEM::ig', source_type: 'HUMAN', auth_mode: 'OIDC' }],
    ['a system that is a person', { actor_id: 'HUMAN::ana', source_type: 'SYSTEM', auth_mode: 'OIDC' }],
    ['a person who showed nothing', { actor_id: 'HUMAN::ana', source_type: 'HUMAN', auth_mode: 'NONE' }],
    ['nobody with a key', { actor_id: 'ANONYMOUS', source_type: 'ANONYMOUS', auth_mode: 'API_KEY' }],
    ['nobody with a name', { actor_id: 'ANONYMOUS::ana', source_type: 'ANONYMOUS', auth_mode: 'NONE' }],
    ['a lower-case prefix', { actor_id: 'system::ig', source_type: 'SYSTEM', auth_mode: 'NONE' }],
    ['an unknown way in', { actor_id: 'SYSTEM::ig', source_type: 'SYSTEM', auth_mode: 'PASSWORD' }],
    ['a member too many', { ...systemActor('ig'), roles: ['admin'] }],
  ])('is not %s', (_name, value) => {
    expect(() => asActor(value)).toThrow('VALUE_INVALID');
  });
});
