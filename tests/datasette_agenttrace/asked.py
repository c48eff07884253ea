"""The API, asked with a token."""


class Api:
    def __init__(self, client, headers) -> None:
        self.client, self.headers = client, headers

    async def __call__(self, path, status=200, method="GET", **options):
        said = {"headers": self.headers | options.pop("headers", {}), **options}
        answer = await self.client.request(method, f"/api{path}", **said)
        assert answer.status_code == status, answer.text
        return answer.json()
