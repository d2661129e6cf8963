# The image that is tested, and one certificate more: that of the stand-ins for Git and Docker Hub,
# which the pods of a test cluster must trust.

ARG IMAGE
FROM $IMAGE

COPY certificate.pem /etc/ssl/stand-ins/certificate.pem
ENV GIT_SSL_CAINFO=/etc/ssl/stand-ins/certificate.pem \
    REQUESTS_CA_BUNDLE=/etc/ssl/stand-ins/certificate.pem
