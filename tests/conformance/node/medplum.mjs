// @medplum/core against a server that listens; see ../test_node_clients.py. Prints each step that held.
import assert from 'node:assert/strict'
import { MedplumClient, OperationOutcomeError } from '@medplum/core'

const { BASE, TOKEN, PATIENT } = process.env
const sample = JSON.parse(process.env.SAMPLE)
const baseUrl = BASE.replace(/fhir$/, '')
const client = new MedplumClient({ baseUrl, fhirUrlPath: 'fhir', accessToken: TOKEN, fetch, cacheTime: 0 })
const done = (name) => console.log(name)
const on = (day, more = {}) => ({ ...sample, effectiveDateTime: `2026-03-0${day}T09:00:00+09:00`, ...more })
const identifier = [{ system: 'urn:test', value: '1' }]

const made = await client.createResource(on(1))
assert.deepEqual(await client.readResource('Observation', made.id), made)
assert.deepEqual(await client.readReference({ reference: `Observation/${made.id}` }), made)
done('create and read')

const next = await client.updateResource({ ...made, status: 'amended' })
assert.equal(next.meta.versionId, '2')
assert.equal((await client.readVersion('Observation', made.id, '1')).status, 'final')
done('update and vread')

const patched = await client.patchResource('Observation', made.id, [{ op: 'replace', path: '/status', value: 'corrected' }])
assert.equal(patched.status, 'corrected')
assert.deepEqual((await client.readHistory('Observation', made.id)).entry.map((e) => e.resource.meta.versionId), ['3', '2', '1'])
done('patch and history')

const once = await client.createResourceIfNoneExist(on(2, { identifier }), 'identifier=urn:test|1')
const again = await client.createResourceIfNoneExist(on(2, { identifier }), 'identifier=urn:test|1')
assert.equal(again.id, once.id)
const upserted = await client.upsertResource(on(2, { identifier, status: 'amended' }), 'identifier=urn:test|1')
assert.deepEqual([upserted.id, upserted.status], [once.id, 'amended'])
done('conditional create and update')

for (let day = 3; day <= 7; day++) await client.createResource(on(day))
const days = []
for await (const page of client.searchResourcePages('Observation', { patient: PATIENT, _sort: '-date', _count: 3 })) {
  days.push(...page.map((r) => r.effectiveDateTime.slice(9, 10)))
}
assert.equal(days.join(''), '7654321')
assert.equal((await client.search('Observation', { patient: PATIENT, _total: 'accurate', _count: 1 })).total, 7)
done('search in pages')

const found = await client.search('Observation', 'patient.birthdate=lt2030&_include=Observation:subject&_count=2')
assert.deepEqual(found.entry.map((e) => e.search.mode), ['match', 'match', 'include'])
const patients = await client.searchResources('Patient', '_has:Observation:patient:code=29463-7')
assert.deepEqual(patients.map((p) => p.id), [PATIENT])
const back = await client.search('Patient', `_id=${PATIENT}&_revinclude=Observation:subject`)
assert.equal(back.entry.length, 8)
done('chain, _has, _include, _revinclude')

const entry = [1, 2].map((day) => ({ resource: on(day), request: { method: 'POST', url: 'Observation' } }))
const transaction = await client.executeBatch({ resourceType: 'Bundle', type: 'transaction', entry })
assert.deepEqual(transaction.entry.map((e) => e.response.status.slice(0, 3)), ['201', '201'])
done('transaction')

assert.equal((await client.readPatientEverything(PATIENT)).entry.length, 10)
assert.equal((await client.valueSetExpand({ url: 'http://hl7.org/fhir/ValueSet/administrative-gender' })).expansion.total, 4)
done('operations')

await client.deleteResource('Observation', made.id)
await assert.rejects(client.readResource('Observation', made.id), (e) => e instanceof OperationOutcomeError)
await assert.rejects(client.createResource(on(1, { status: 'nonsense' })), (e) => e.outcome.issue[0].expression[0] === 'Observation.status')
done('delete and refusals')
