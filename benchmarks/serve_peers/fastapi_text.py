"""FastAPI, one worker, each text alone: python fastapi_text.py PORT."""

import sys

import uvicorn
from encoder_net import Embed
from fastapi import FastAPI
from pydantic import BaseModel


class Record(BaseModel):
    """One row."""

    text: str


class Body(BaseModel):
    """A request."""

    instances: list[Record]


app, run = FastAPI(), Embed()


@app.post("/v1/predict")
async def predict(body: Body) -> dict[str, list[dict[str, list[float]]]]:
    """Answer rows."""
    return {
        "predictions": [{"embedding": row} for row in run([each.text for each in body.instances])]
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
